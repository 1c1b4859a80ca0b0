// The selected cell's column, and every column gross of costs.
section(({ data, array, level, metrics, embedded, state, selected, chosen, hold, nameOf, shown }) => {
  const lines = Array.from(document.querySelectorAll("[data-figure]"), (line) => ({
    name: line.dataset.figure,
    cells: Object.fromEntries(Array.from(line.querySelectorAll("td"), (td) => [td.className, td])),
    net: Object.fromEntries(Array.from(line.querySelectorAll("td"), (td) => [td.className, td.textContent])),
  }));
  const FREE = ["psr", "dsr", "sharpe_interval"]; // figures that are made of net returns alone
  function figure(name, row) {
    const series = embedded.get(row);
    const k = data.gross_figures.indexOf(name);
    if (state.costs === "gross" && FREE.includes(name)) return "–";
    if (!series && (data.account_figures.includes(name) || (state.costs === "gross" && k >= 0))) return "not embedded";
    if (name === "sharpe_interval") return span(metrics.sharpe_low[row], metrics.sharpe_high[row]);
    const value = state.costs === "gross" && k >= 0 ? array(series.gross.figures)[k] : metrics[name][row];
    return number(value, data.kinds[name], metrics.trades[row]);
  }
  function grossText(account, line, column) {
    const k = data.gross_figures.indexOf(line.name);
    if (k < 0) return FREE.includes(line.name) ? "–" : line.net[column];
    return number(array(account.gross.figures)[k], data.kinds[line.name], account.trades ? account.trades.entry.n : undefined);
  }
  function drawKey() {
    const row = selected();
    const gross = state.costs === "gross";
    for (const line of lines) {
      const { cells } = line;
      cells.chosen.textContent = figure(line.name, row);
      cells.hold.textContent = gross ? grossText(hold(), line, "hold") : data.hold_figures[state.at[level.symbol]][line.name];
      cells.headline.textContent = gross ? grossText(data.headline, line, "headline") : line.net.headline;
      if (cells.fixed) cells.fixed.textContent = gross ? figure(line.name, data.fixed) : line.net.fixed;
      cells.random.textContent = gross ? "–" : line.net.random;
    }
    const same = row === data.fixed;
    el("after-costs").textContent = gross ? "gross: before costs" : "after costs";
    el("selected-name").textContent = nameOf(state.at);
    el("selected-note").textContent = same ? "same as the strategy file" : "exploratory, chosen in hindsight";
    if (el("reset")) el("reset").hidden = same;
  }
  shown(drawKey, "costs");
});
