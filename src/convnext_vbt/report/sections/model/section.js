// An account's trades by confidence, and the selected threshold.
section(({ data, array, frames, level, state, viewed, draw }) => {
  function deciles() {
    const series = viewed();
    const parts = { trades: { x: [], y: [] } };
    if (series?.deciles) {
      const [net, count] = [array(series.deciles.net), array(series.deciles.count)];
      const own = Array.from(net.keys()).filter((k) => count[k] > 0);
      parts.trades = {
        x: own.map((k) => data.deciles[k]), y: own.map((k) => net[k] * 1e4),
        hovertext: own.map((k) => `${number(net[k], "basis_points")} net per trade, ${fixed(count[k], 0)} trade${count[k] === 1 ? "" : "s"}`),
      };
    }
    return filled(frames.deciles, parts);
  }
  const limits = () => data.thresholds[state.at[level.threshold] ?? -1] ?? null;
  function outlines() {
    const base = frames.outlines;
    const range = limits();
    const line = { color: data.muted, width: 1.5, dash: "dash" };
    const shapes = !range ? [] : ["x", "x2"].flatMap((x) => [...new Set(range)].map((v) => ({
      type: "line", xref: x, yref: x === "x" ? "y domain" : "y2 domain", x0: v, x1: v, y0: 0, y1: 1, line,
    })));
    el("threshold-note").textContent = range
      ? `Dashed: entry threshold of the selected cell, ${range[0] === range[1] ? fixed(range[0], 3) : `${fixed(range[0], 3)} to ${fixed(range[1], 3)} depending on the split`}.`
      : "";
    return { data: base.data, layout: { ...base.layout, shapes } };
  }
  if (frames.deciles) draw("deciles", deciles);
  if (frames.outlines) draw("outlines", outlines);
});
