// Equity, price with fills and the rolling ratio, which zoom together.
section(({
  data, array, frames, levels, level, at, embedded, times, days, dayTimes, state, chosen, hold,
  viewed, nameOf, cellRows, tradesOf, symbols, draw, shown, table, redraw, select,
}) => {
  const rollingAt = array(data.rolling_at);
  const rollingTimes = Float64Array.from(rollingAt, (k) => dayTimes[k]);
  const percent = (ref) => Array.from(array(ref), (v) => v * 100);
  let zoom = null; // of the three charts in time
  const zoomed = (event) => {
    const keys = Object.keys(event);
    const first = keys.find((key) => /^xaxis2?\.range\[0\]$/.test(key));
    if (first) zoom = [event[first], event[first.replace("[0]", "[1]")]];
    else if (keys.some((key) => /^xaxis2?\.autorange$/.test(key))) zoom = null;
    else return;
    redraw("equity", "price", "rolling");
  };
  const timeAxis = (axis) => ({ ...axis, ...(zoom ? { range: zoom, autorange: false } : { range: [dayTimes[0], dayTimes[dayTimes.length - 1] + 86400000], autorange: false }) });
  const accountLines = () => [["buy and hold", hold()], ["selected cell", chosen()], ["headline", data.headline]];
  function equity() {
    const parts = {};
    for (const [name, account] of accountLines()) {
      const own = account?.[state.costs];
      const x = own ? dayTimes : [];
      const alone = x.length === 1 ? { mode: "markers", marker: { size: 9 }, cliponaxis: false } : {}; // a line of one day is none
      parts[name + ": growth"] = { x, y: own ? array(own.growth) : [], ...alone };
      parts[name + ": underwater"] = { x, y: own ? percent(own.underwater) : [], ...alone };
    }
    for (const [k, ref] of Object.entries(data.fan ?? {}))
      parts["fan " + k] = state.costs === "net" ? { x: dayTimes, y: array(ref) } : { x: [], y: [], showlegend: false };
    const { layout } = frames.equity;
    const made = filled(frames.equity, parts, { yaxis: { ...layout.yaxis, type: state.scale }, xaxis: timeAxis(layout.xaxis), xaxis2: timeAxis(layout.xaxis2) });
    return { ...made, zoomed };
  }
  const monthEnds = () => Array.from(days.keys()).filter((k) => k + 1 === days.length || day(days[k]).slice(0, 7) !== day(days[k + 1]).slice(0, 7));
  function equityTable() {
    const each = [data.headline, chosen(), hold()].map((account) => account && [array(account[state.costs].growth), array(account[state.costs].underwater)]);
    tableOf("equity", ["Month end, UTC", "Headline, growth of 1", "Drawdown that day", "Selected cell", "Drawdown that day", "Buy and hold", "Drawdown that day"],
      monthEnds().map((k) => [day(days[k]), ...each.flatMap((own) => (own ? [fixed(own[0][k], 4), number(own[1][k], "percent")] : ["–", "–"]))]));
  }
  const closeOf = new Map();
  function closes(symbol) {
    if (!closeOf.has(symbol)) {
      const all = array(data.prices[symbol]);
      const [x, y] = [[], []];
      all.forEach((v, k) => { if (!Number.isNaN(v)) { x.push(times[k * data.price_every] * 1000); y.push(v); } });
      closeOf.set(symbol, [x, y]);
    }
    return closeOf.get(symbol);
  }
  // The lowest and the highest of each bucket: the line looks the same and is a hundred times shorter.
  function thinned(x, y, most) {
    const size = Math.ceil(x.length / most);
    if (size < 3) return [x, y];
    const [a, b] = [[], []];
    for (let start = 0; start < x.length; start += size) {
      let [low, high] = [start, start];
      for (let k = start; k < Math.min(start + size, x.length); k++) {
        if (y[k] < y[low]) low = k;
        if (y[k] > y[high]) high = k;
      }
      for (const k of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) { a.push(x[k]); b.push(y[k]); }
    }
    return [a, b];
  }
  const MOST_TRADES = 1000; // two markers each
  function priceChart() {
    const series = viewed();
    const here = state.at[level.symbol];
    const symbol = levels[level.symbol].values[here].text;
    const [from, to] = zoom ? zoom.map((v) => (typeof v === "number" ? v : Date.parse(v.replace(" ", "T") + (v.length > 10 ? "Z" : "")))) : [-Infinity, Infinity];
    let [x, y] = closes(here);
    if (zoom) {
      const first = Math.max(x.findIndex((v) => v >= from) - 1, 0);
      const last = x.findIndex((v) => v > to);
      [x, y] = [x.slice(first, last < 0 ? x.length : last + 1), y.slice(first, last < 0 ? y.length : last + 1)];
    }
    [x, y] = thinned(x, y, 900);
    const marks = { close: { x, y }, ...Object.fromEntries(["long", "short", "won", "lost"].map((k) => [k, { x: [], y: [] }])) };
    let [inside, drawn] = [0, 0];
    if (series) {
      const trades = tradesOf(series);
      const names = symbols();
      let own = Array.from(trades.entry.keys()).filter((k) => names[trades.symbol[k]] === symbol && times[trades.exit[k]] * 1000 >= from && times[trades.entry[k]] * 1000 <= to);
      inside = own.length;
      if (inside > MOST_TRADES) own = own.sort((a, b) => Math.abs(trades.profit[b]) - Math.abs(trades.profit[a])).slice(0, MOST_TRADES);
      drawn = own.length;
      for (const k of own) {
        const entry = marks[trades.side[k] ? "short" : "long"];
        entry.x.push(times[trades.entry[k]] * 1000);
        entry.y.push(trades.entry_price[k]);
        if (!trades.reason[k]) continue; // still open
        const exit = marks[trades.profit[k] > 0 ? "won" : "lost"];
        exit.x.push(times[trades.exit[k]] * 1000);
        exit.y.push(trades.exit_price[k]);
      }
    }
    const size = drawn > 250 ? 5 : drawn > 80 ? 7 : 9;
    for (const kind of ["long", "short", "won", "lost"])
      marks[kind].marker = { ...frames.price.data.find((trace) => trace.meta === kind).marker, size };
    const every = data.price_every > 1 ? ` One close in ${data.price_every} is in this file.` : "";
    const basket = "all symbols in equal shares; choose a symbol to see its trades.";
    const count = symbol === "total" ? basket : !series ? "The trades of this cell are not in this file." : drawn < inside ? `The ${fixed(drawn, 0)} largest of ${fixed(inside, 0)} trades in view are drawn; zoom in for the others.` : `${fixed(inside, 0)} trade${inside === 1 ? "" : "s"} in view; drag to zoom, double-click to reset.`;
    el("price-note").textContent = (levels[level.symbol].values.length > 1 ? symbol + ": " : "") + count + every;
    return { ...filled(frames.price, marks, { xaxis: timeAxis(frames.price.layout.xaxis) }), zoomed };
  }
  function rolling() {
    const [h, c] = [hold(), chosen()];
    const line = (account) => ({ x: account ? rollingTimes : [], y: account ? array(account.rolling) : [] });
    return { ...filled(frames.rolling, { hold: line(h), cell: line(c), headline: line(data.headline) }, { xaxis: timeAxis(frames.rolling.layout.xaxis) }), zoomed };
  }
  function rollingTable() {
    const each = [data.headline, chosen(), hold()].map((account) => account && array(account.rolling));
    tableOf("rolling", ["90 days to", "Headline", "Selected cell", "Buy and hold"],
      Array.from(rollingAt.keys()).map((k) => [day(days[rollingAt[k]]), ...each.map((own) => (own ? number(own[k], "ratio") : "–"))]));
  }
  function notEmbedded() {
    const missing = el("not-embedded");
    missing.hidden = Boolean(chosen());
    if (!missing.hidden) {
      const like = cellRows();
      const count = like.filter((row) => embedded.has(row)).length;
      missing.firstElementChild.textContent =
        `The daily series, drawdowns and trades of ${nameOf(state.at)} are not in this file: ${count} of ${like.length} ${like.length < data.rows ? "such " : ""}cells have them.`;
    }
  }
  function nearest() {
    let best = null;
    let least = Infinity;
    for (const row of embedded.keys()) {
      const where = at(row);
      const far = where.reduce((sum, p, i) => sum + Math.abs(p - state.at[i]) * (i === level.symbol ? 1000 : 1), 0);
      if (far < least) [best, least] = [where, far];
    }
    select(best);
  }
  draw("equity", equity, "costs", "scale");
  table("equity", equityTable);
  draw("price", priceChart);
  draw("rolling", rolling);
  table("rolling", rollingTable);
  shown(notEmbedded);
  shown(() => { el("gross-note").hidden = state.costs === "net"; }, "costs");
  el("nearest").addEventListener("click", nearest);
});
