// The account's trades: a hundred in the table, all of them as CSV.
section(({ times, state, viewed, nameOf, tradesOf, symbols, shown }) => {
  const REASONS = ["open at the end", "signal", "reversal", "stop", "stop, gapped through", "take-profit", "time limit", "account bust", "delisted"];
  let order = "worst";
  function drawTrades() {
    const series = viewed();
    const names = symbols();
    const trades = series ? tradesOf(series) : null;
    const count = trades ? trades.entry.length : 0;
    el("csv").disabled = !count;
    el("trade-count").textContent = fixed(count, 0);
    const ranked = Array.from({ length: count }, (_, k) => k);
    if (order === "last") ranked.reverse();
    else {
      const sign = order === "worst" ? 1 : -1;
      ranked.sort((a, b) => sign * (trades.profit[a] - trades.profit[b]) || a - b);
    }
    const share = (value) => fixed(value * 100, 2) + " %";
    const rows = ranked.slice(0, 100).map((k) => [
      cell((trades.side[k] ? "▼ short" : "▲ long") + (names.length > 1 ? " " + names[trades.symbol[k]] : "")),
      cell(stamp(times[trades.entry[k]])),
      cell(trades.reason[k] ? stamp(times[trades.exit[k]]) : "–"),
      cell(fixed(trades.held[k], 0)),
      cell(price(trades.entry_price[k])),
      cell(price(trades.exit_price[k])),
      cell(trades.size[k].toPrecision(4)),
      cell(share(trades.adverse[k])),
      cell(share(trades.favourable[k])),
      cell(share(trades.return[k]), trades.return[k] < 0 ? "bad" : ""),
      cell(fixed(trades.profit[k], 2), trades.profit[k] < 0 ? "bad" : ""),
      cell(share(trades.share[k]), trades.profit[k] < 0 ? "bad" : ""),
      cell(REASONS[trades.reason[k]] + (trades.capped[k] ? " · size capped" : ""), "text"),
    ]);
    fill(el("trade-rows"), rows, series ? "No trades." : "Not embedded for this cell.", 13);
  }
  function csv() {
    const trades = tradesOf(viewed());
    const names = symbols().map((name) => `"${name.replace(/"/g, '""')}"`);
    const rows = ["symbol,side,entry_utc,exit_utc,bars,entry_price,exit_price,size_units,fees,mae,mfe,net_return,profit,share_of_equity,exit_reason,size_capped"];
    for (let k = 0; k < trades.entry.length; k++)
      rows.push([
        names[trades.symbol[k]], trades.side[k] ? "short" : "long", stamp(times[trades.entry[k]]), stamp(times[trades.exit[k]]),
        trades.held[k], trades.entry_price[k], trades.exit_price[k], trades.size[k], trades.fees[k],
        trades.adverse[k], trades.favourable[k], trades.return[k], trades.profit[k], trades.share[k],
        `"${REASONS[trades.reason[k]]}"`, trades.capped[k] ? "yes" : "no",
      ].join());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "trades-" + (state.view === "headline" ? "headline" : nameOf(state.at)).replace(/[^\w.]+/g, "-") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  el("trade-order").addEventListener("change", () => { order = el("trade-order").value; drawTrades(); });
  el("csv").addEventListener("click", csv);
  shown(drawTrades);
});
