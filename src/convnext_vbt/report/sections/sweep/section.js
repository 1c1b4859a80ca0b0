// Heatmap, rules and CAGR against drawdown; a click selects.
section(({
  data, array, frames, levels, level, at, rowOf, metrics, state, selected, hold, nameOf, cellRows,
  draw, shown, table, choice, select,
}) => {
  const plateau = array(data.plateau);
  const { across, up } = data.heatmap;
  const ticks = (name) => levels[level[name]].values.map((v) => v.text);
  function grid() {
    return ticks(up).map((_, y) => ticks(across).map((_, x) => {
      const where = [...state.at];
      where[level[up]] = y;
      where[level[across]] = x;
      return rowOf.get(where.join());
    }));
  }
  const measured = () => data.heatmap.metrics.find((m) => m.name === state.metric);
  function heatmapTexts() {
    const metric = measured();
    const digits = metric.kind === "count" ? 0 : metric.kind === "percent" ? 1 : 2;
    const scale = metric.kind === "percent" ? 100 : 1;
    const z = grid().map((line) => line.map((row) => metrics[metric.name][row] * scale));
    return { metric, z, unit: scale === 100 ? " %" : "", text: z.map((line) => line.map((v) => (Number.isFinite(v) ? v.toFixed(digits).replace("-", "−") : NA))) };
  }
  function heatmap() {
    const { metric, z, unit, text } = heatmapTexts();
    const rows = grid();
    const [xs, ys] = [ticks(across).map(escape), ticks(up).map(escape)];
    const hover = rows.map((line, y) => line.map((row, x) =>
      `${xs[x]}, ${ys[y]}<br><b>${metric.label}: ${text[y][x]}${unit}</b><br>${fixed(metrics.trades[row], 0)} trades`));
    const limit = Math.max(...z.flat().filter(Number.isFinite).map(Math.abs), 0) || 1;
    const base = frames.heatmap;
    const trace = {
      ...base.data[0], z, text, hovertext: hover, hovertemplate: "%{hovertext}<extra></extra>",
      colorscale: metric.signed ? data.heatmap.diverging : "Cividis",
      zmin: metric.signed ? -limit : undefined, zmax: metric.signed ? limit : undefined,
      zauto: !metric.signed,
      colorbar: { ...base.data[0].colorbar, title: { text: metric.label + (unit && ", %"), side: "right" } },
    };
    if (el("chart-heatmap").clientWidth < 560) {
      trace.showscale = false;
      trace.textfont = { size: xs.length > 6 ? 9 : 11 };
    }
    const strokes = [[-0.46, 0, 0, 0.46], [-0.46, -0.46, 0.46, 0.46], [0, -0.46, 0.46, 0]];
    let path = "";
    rows.forEach((line, y) => line.forEach((row, x) => {
      if (!(metrics.trades[row] < data.heatmap.thin)) return;
      for (const [x0, y0, x1, y1] of strokes) path += `M${x + x0},${y + y0}L${x + x1},${y + y1}`;
    }));
    const frame = (where, line) => {
      const [x, y] = [where[level[across]], where[level[up]]];
      const box = { type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5 };
      const halo = { color: dark() ? "#11161c" : "#ffffff", width: line.width + 4 }; // seen on any colour
      return [{ ...box, line: halo }, { ...box, line: { color: base.layout.font.color, ...line } }];
    };
    const shapes = path ? [{ type: "path", path, line: { color: data.muted, width: 1 } }] : [];
    if (data.fixed !== null) {
      const where = at(data.fixed);
      const here = where.every((p, i) => p === state.at[i] || i === level[across] || i === level[up]);
      if (here && data.fixed !== selected()) shapes.push(...frame(where, { width: 2, dash: "dot" }));
    }
    shapes.push(...frame(state.at, { width: 3 }));
    return { data: [trace], layout: { ...base.layout, shapes }, widest: 220 + 130 * Math.max(xs.length, 2), clicked: pick };
  }
  function pick(event) {
    const [y, x] = event.points[0].pointIndex ?? event.points[0].pointNumber;
    const where = [...state.at];
    where[level[up]] = y;
    where[level[across]] = x;
    select(where);
  }
  function heatmapTable() {
    const { metric, unit, text } = heatmapTexts();
    const ys = ticks(up);
    tableOf("heatmap", [levels[level[up]].label, ...ticks(across)], text.map((line, y) => [ys[y], ...line.map((t) => (t === NA ? NA : t + unit))]),
      `${metric.label}: ${levels[level[up]].label} down, ${levels[level[across]].label} across`);
  }
  // Rules beside the selected one: all its levels but the one across.
  const beside = () => ticks(across).map((_, x) => rowOf.get(state.at.map((p, i) => (i === level[across] ? x : p)).join()));
  function rules() {
    const base = frames.rules;
    const rows = beside();
    const [low, high, ratio, count] = ["sharpe_low", "sharpe_high", "rule_sharpe", "trades"].map((n) => rows.map((row) => metrics[n][row]));
    const hover = rows.map((row, x) =>
      `${escape(ticks(across)[x])}<br>Sharpe ratio ${number(ratio[x], "ratio")}<br>90 % CI ${span(low[x], high[x])}`);
    const ys = [low, high, ratio, count];
    const traces = base.data.map((trace, i) => ({ ...trace, x: rows.map((_, x) => x), y: ys[i], hovertext: i === 2 ? hover : undefined }));
    const here = state.at[level[across]];
    const line = { type: "line", x0: here, x1: here, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: data.muted, width: 1, dash: "dot" } };
    return { data: traces, layout: { ...base.layout, shapes: [line] } };
  }
  const rulesTable = () =>
    tableOf("rules", [levels[level[across]].label, "Sharpe ratio", "90 % CI", "Trades"], beside().map((row, x) => [
      ticks(across)[x], number(metrics.rule_sharpe[row], "ratio"), span(metrics.sharpe_low[row], metrics.sharpe_high[row]), number(metrics.trades[row], "count"),
    ]));
  const hoverOf = (name, drawdown, cagr, trades) =>
    `${escape(name)}<br>CAGR ${number(cagr, "percent")}<br>max drawdown ${number(drawdown, "percent")}` + (trades === undefined ? "" : `<br>${number(trades, "count")} trades`);
  function frontier() {
    const rows = cellRows();
    const points = (own) => ({
      x: own.map((row) => -100 * metrics.max_drawdown[row]), y: own.map((row) => 100 * metrics.cagr[row]), customdata: own,
      hovertext: own.map((row) => hoverOf(nameOf(at(row)), metrics.max_drawdown[row], metrics.cagr[row], metrics.trades[row])),
    });
    const one = (account, name) => ({ x: [-100 * account.drawdown], y: [100 * account.cagr], hovertext: [hoverOf(name, account.drawdown, account.cagr)] });
    const thin = (row) => metrics.trades[row] < data.heatmap.thin;
    const parts = {
      solid: points(rows.filter((row) => !thin(row))), thin: points(rows.filter(thin)), chosen: points([selected()]),
      hold: one(hold(), "buy and hold"), headline: one(data.headline, "headline"),
    };
    return { ...filled(frames.frontier, parts), clicked: (event) => event.points[0].customdata !== undefined && select(at(event.points[0].customdata)) };
  }
  const frontierTable = () =>
    tableOf("frontier", ["Cell", "CAGR", "Max drawdown", "Sharpe ratio", "Trades"], cellRows().map((row) => [
      nameOf(at(row)), number(metrics.cagr[row], "percent"), number(metrics.max_drawdown[row], "percent"), number(metrics.sharpe[row], "ratio", metrics.trades[row]), number(metrics.trades[row], "count"),
    ]));
  choice("metric", "metric", data.heatmap.metrics.map((m) => m.name));
  draw("heatmap", heatmap, "metric");
  table("heatmap", heatmapTable);
  if (frames.rules) {
    draw("rules", rules);
    table("rules", rulesTable);
  }
  draw("frontier", frontier);
  table("frontier", frontierTable);
  shown(() => { el("plateau").textContent = data.plateaus[plateau[selected()]]; });
});
