// Months, trades and excursions of the account in view.
section(({ data, array, frames, viewed, tradesOf, draw, table }) => {
  const months = array(data.months);
  function monthlyTexts() {
    const series = viewed();
    const values = series ? array(series.monthly) : [];
    const first = Math.floor(months[0] / 12);
    const count = Math.floor(months[months.length - 1] / 12) - first + 1;
    const z = Array.from({ length: count }, () => Array(12).fill(null));
    values.forEach((v, k) => { if (Number.isFinite(v)) z[Math.floor(months[k] / 12) - first][months[k] % 12] = v * 100; });
    return { z, text: z.map((line) => line.map((v) => (v === null ? "" : fixed(v, 1)))), years: z.map((_, k) => String(1970 + first + k)) };
  }
  function monthly() {
    const { z, text, years } = monthlyTexts();
    const limit = Math.max(...z.flat().map((v) => Math.abs(v ?? 0))) || 1;
    const names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const narrow = el("chart-monthly").clientWidth < 560;
    return filled(frames.monthly, { months: { x: names, y: years, z, text, zmin: -limit, zmax: limit, textfont: { size: narrow ? 8.5 : 12 } } });
  }
  function monthlyTable() {
    const series = viewed();
    const values = series ? array(series.monthly) : [];
    tableOf("monthly", ["Month", "Return"], Array.from(values.keys()).map((k) => [month(months[k]), number(values[k], "percent")]));
  }
  function histogram(frame, name, scale) {
    const series = viewed();
    if (!series || !series.histograms[name].counts.n) return null;
    const edges = Array.from(array(series.histograms[name].edges), (v) => v * scale);
    const counts = array(series.histograms[name].counts);
    const x = Array.from(counts.keys(), (k) => (edges[k] + edges[k + 1]) / 2);
    return filled(frames[frame], { bins: { x, y: counts, width: x.map((_, k) => edges[k + 1] - edges[k]), customdata: x.map((_, k) => [edges[k], edges[k + 1]]) } });
  }
  function histogramTable(id, name, scale, digits, heads) {
    const series = viewed();
    const counts = series ? array(series.histograms[name].counts) : [];
    const edges = series ? array(series.histograms[name].edges) : [];
    tableOf(id, heads, Array.from(counts.keys()).map((k) => [fixed(edges[k] * scale, digits), fixed(edges[k + 1] * scale, digits), fixed(counts[k], 0)]));
  }
  const MOST_EXCURSIONS = 600;
  function excursions() {
    const series = viewed();
    const trades = series ? tradesOf(series) : null;
    const count = trades ? trades.entry.length : 0;
    const every = Math.max(1, Math.ceil(count / MOST_EXCURSIONS));
    el("excursion-note").textContent = !series ? "Not embedded for this cell." : every > 1 ? `One trade in ${every} is drawn.` : "";
    if (!count) return null;
    const parts = {};
    for (const name of ["adverse", "favourable"])
      for (const won of [true, false]) {
        const [x, y] = [[], []];
        for (let k = 0; k < count; k += every)
          if (trades.return[k] > 0 === won) { x.push(trades[name][k] * 100); y.push(trades.return[k] * 100); }
        parts[`${name}_${won ? "won" : "lost"}`] = { x, y };
      }
    return filled(frames.excursions, parts);
  }
  draw("monthly", monthly);
  table("monthly", monthlyTable);
  draw("trade_returns", () => histogram("trade_returns", "return", 100));
  table("trade_returns", () => histogramTable("trade_returns", "return", 100, 2, ["Net return from, %", "to, %", "Trades"]));
  draw("holding", () => histogram("holding", "held", 1));
  table("holding", () => histogramTable("holding", "held", 1, 1, ["Bars held from", "to", "Trades"]));
  draw("excursions", excursions);
});
