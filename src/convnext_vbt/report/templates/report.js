"use strict";
// Selects and draws; every number was computed in Python. Text goes in through textContent only.
(async () => {
  const el = (id) => document.getElementById(id);
  const data = JSON.parse(el("data").textContent);
  const NA = "n/a";

  // ---- the pool of arrays: gzip, base64, little-endian, each array aligned to 8 bytes ----
  async function inflate(node) {
    const text = atob(node.textContent);
    node.remove();
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }
  const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array };
  const pool = await inflate(el("pool"));
  const array = (ref) => new TYPES[ref.t](pool, ref.at, ref.n);

  // ---- numbers as text; formats.py is the twin ----
  function fixed(value, digits) {
    const [whole, rest] = Math.abs(value).toFixed(digits).split(".");
    const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? "." + rest : "");
    return value < 0 && /[1-9]/.test(text) ? "−" + text : text;
  }
  function number(value, kind, trades) {
    if (!Number.isFinite(value)) return trades === 0 ? NA + " (0 trades)" : NA;
    if (kind === "percent") return fixed(value * 100, Math.abs(value) < 10 ? 1 : 0) + " %";
    if (kind === "basis_points") return fixed(value * 1e4, 1) + " bp";
    if (kind === "probability") return value > 0.9995 ? "> 0.999" : value < 0.0005 ? "< 0.001" : fixed(value, 3);
    if (kind === "count") return fixed(value, 0);
    if (kind === "times") return fixed(value, 1) + " ×";
    if (kind === "money") return fixed(value, Math.abs(value) < 100 ? 2 : 0);
    if (kind === "days") return fixed(value, value < 10 ? 1 : 0) + " days";
    return fixed(value, 2);
  }
  function interval(row) {
    const [low, high] = [metrics.sharpe_low[row], metrics.sharpe_high[row]];
    return Number.isFinite(low) && Number.isFinite(high) ? fixed(low, 2) + " to " + fixed(high, 2) : NA;
  }
  function price(value) {
    const digits = value >= 1000 ? 2 : value >= 1 ? 4 : 8;
    return fixed(value, digits);
  }
  const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const day = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
  const escape = (text) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

  // ---- the sweep ----
  const levels = data.levels;
  const positions = array(data.positions); // rows x levels
  const rowOf = new Map();
  for (let row = 0; row < data.rows; row++)
    rowOf.set(Array.from(positions.subarray(row * levels.length, (row + 1) * levels.length)).join(), row);
  const metrics = Object.fromEntries(Object.entries(data.metrics).map(([k, ref]) => [k, array(ref)]));
  const embedded = new Map(data.series.map((series) => [series.row, series]));
  const bars = array(data.bars); // seconds between bars; the first is since 1970
  const times = new Float64Array(bars.length);
  for (let i = 0, t = data.first_bar; i < bars.length; i++) times[i] = t += bars[i];
  const plateau = array(data.plateau);
  const days = array(data.days);
  const milliseconds = Float64Array.from(days, (d) => d * 86400000);
  const level = Object.fromEntries(levels.map((l, i) => [l.name, i]));

  const state = { at: at(data.start), metric: data.heatmap.metric, scale: "linear", order: "worst", view: "headline" };
  function at(row) {
    return Array.from(positions.subarray(row * levels.length, (row + 1) * levels.length));
  }
  const selected = () => rowOf.get(state.at.join());
  const nameOf = (where) =>
    levels.map((l, i) => [l, i]).filter(([l]) => l.values.length > 1 || l.name === "risk")
      .map(([l, i]) => l.values[where[i]].text + (l.name === "risk" ? " risk" : "")).join(" · ");

  function readHash() {
    const query = new URLSearchParams(location.hash.slice(1));
    const wanted = levels.map((l, i) => {
      const k = l.values.findIndex((v) => v.key === query.get(l.name));
      return k < 0 ? state.at[i] : k;
    });
    if (rowOf.has(wanted.join())) state.at = wanted;
    if (data.heatmap.metrics.some((m) => m.name === query.get("metric"))) state.metric = query.get("metric");
    if (["headline", "cell"].includes(query.get("view"))) state.view = query.get("view");
    if (["linear", "log"].includes(query.get("scale"))) state.scale = query.get("scale");
  }
  function writeHash() {
    const query = new URLSearchParams();
    levels.forEach((l, i) => l.values.length > 1 && query.set(l.name, l.values[state.at[i]].key));
    query.set("metric", state.metric);
    query.set("scale", state.scale);
    query.set("view", state.view);
    try {
      history.replaceState(null, "", "#" + query);
    } catch {
      // A sandboxed frame has no history; the page works without it.
    }
  }

  // ---- tables ----
  function cell(text, css, tag = "td") {
    const node = document.createElement(tag);
    node.textContent = text;
    if (css) node.className = css;
    if (tag === "th") node.scope = css === "row" ? "row" : "col";
    return node;
  }
  function fill(body, rows, empty, columns) {
    body.replaceChildren(
      ...rows.map((cells) => {
        const row = document.createElement("tr");
        row.append(...cells);
        return row;
      }),
    );
    if (rows.length) return;
    const row = document.createElement("tr");
    const note = cell(empty, "text muted");
    note.colSpan = columns;
    row.append(note);
    body.append(row);
  }

  function drawKey() {
    const row = selected();
    const series = embedded.get(row);
    const hold = data.holds[state.at[level.symbol]];
    const trades = metrics.trades[row];
    for (const line of document.querySelectorAll("[data-figure]")) {
      const name = line.dataset.figure;
      const absent = data.carried.includes(name) && !series;
      line.querySelector(".chosen").textContent = absent
        ? "not embedded"
        : name === "sharpe_interval"
          ? interval(row)
          : number(metrics[name][row], data.kinds[name], trades);
      line.querySelector(".hold").textContent = hold.figures[name];
    }
    const same = row === data.fixed;
    el("selected-name").textContent = nameOf(state.at);
    el("selected-note").textContent = same ? "same as the strategy file’s" : "exploratory, chosen in hindsight";
    if (el("reset")) el("reset").hidden = same;
  }

  function drawSplits() {
    const series = embedded.get(selected());
    const shown = { return: "percent", drawdown: "percent", trades: "count" };
    for (const [name, kind] of Object.entries(shown)) {
      const values = series ? array(series.splits[name]) : null;
      document.querySelectorAll(`[data-split="${name}"]`).forEach((node, k) => {
        node.textContent = values ? number(values[k], kind) : "–";
        if (name === "return") node.className = values && values[k] < 0 ? "bad" : "";
      });
    }
  }

  const viewed = () => (state.view === "headline" ? data.headline : embedded.get(selected()));
  function drawDrawdowns() {
    const series = viewed();
    for (const node of document.querySelectorAll(".whose"))
      node.textContent = state.view === "headline" ? "Of the headline." : `Of the selected cell, ${nameOf(state.at)}.`;
    const rows = [];
    if (series) {
      const [peak, trough, end] = ["peak", "trough", "end"].map((k) => array(series.drawdowns[k]));
      const depth = array(series.drawdowns.depth);
      for (let k = 0; k < depth.length; k++) {
        const from = times[Math.max(peak[k], 0)];
        const to = end[k] < 0 ? times[times.length - 1] : times[end[k]];
        rows.push([
          cell(String(k + 1)),
          cell(number(-depth[k], "percent")),
          cell(stamp(from)),
          cell(stamp(times[trough[k]])),
          cell(end[k] < 0 ? "not yet" : stamp(times[end[k]]), end[k] < 0 ? "bad" : ""),
          cell(fixed((to - from) / 86400, 1) + (end[k] < 0 ? " so far" : "")),
        ]);
      }
    }
    fill(el("drawdown-rows"), rows, series ? "No drawdown: the account never fell below an earlier peak." : "Not embedded for this cell.", 6);
  }

  // ---- trades ----
  const REASONS = ["open at the end", "signal", "reversal", "stop", "stop, gapped through", "take-profit", "time limit", "account bust"];
  function tradesOf(series) {
    const out = {};
    for (const [name, ref] of Object.entries(series.trades)) out[name] = array(ref);
    return out;
  }
  const symbols = () => (state.view === "headline" ? data.headline.symbols : [levels[level.symbol].values[state.at[level.symbol]].text]);
  function drawTrades() {
    const series = viewed();
    const names = symbols();
    const trades = series ? tradesOf(series) : null;
    const count = trades ? trades.entry.length : 0;
    el("csv").disabled = !count;
    el("trade-count").textContent = fixed(count, 0);
    const order = Array.from({ length: count }, (_, k) => k);
    if (state.order === "last") order.reverse();
    else {
      const sign = state.order === "worst" ? 1 : -1;
      order.sort((a, b) => sign * (trades.profit[a] - trades.profit[b]) || a - b);
    }
    const rows = order.slice(0, 100).map((k) => [
      cell((trades.side[k] ? "▼ short" : "▲ long") + (names.length > 1 ? " " + names[trades.symbol[k]] : "")),
      cell(stamp(times[trades.entry[k]])),
      cell(trades.reason[k] ? stamp(times[trades.exit[k]]) : "–"),
      cell(fixed(trades.exit[k] - trades.entry[k], 0)),
      cell(price(trades.entry_price[k])),
      cell(price(trades.exit_price[k])),
      cell(trades.size[k].toPrecision(4)),
      cell(fixed(trades.return[k] * 100, 2) + " %", trades.return[k] < 0 ? "bad" : ""),
      cell(fixed(trades.profit[k], 2), trades.profit[k] < 0 ? "bad" : ""),
      cell(fixed(trades.share[k] * 100, 2) + " %", trades.profit[k] < 0 ? "bad" : ""),
      cell(REASONS[trades.reason[k]] + (trades.capped[k] ? " · size capped" : ""), "text"),
    ]);
    fill(el("trade-rows"), rows, series ? "No trades." : "Not embedded for this cell.", 11);
  }
  function csv() {
    const trades = tradesOf(viewed());
    const names = symbols().map((name) => `"${name.replace(/"/g, '""')}"`);
    const lines = ["symbol,side,entry_utc,exit_utc,bars,entry_price,exit_price,size_units,fees,net_return,profit,share_of_equity,exit_reason,size_capped"];
    for (let k = 0; k < trades.entry.length; k++)
      lines.push([
        names[trades.symbol[k]], trades.side[k] ? "short" : "long", stamp(times[trades.entry[k]]), stamp(times[trades.exit[k]]),
        trades.exit[k] - trades.entry[k], trades.entry_price[k], trades.exit_price[k], trades.size[k], trades.fees[k],
        trades.return[k], trades.profit[k], trades.share[k], `"${REASONS[trades.reason[k]]}"`, trades.capped[k] ? "yes" : "no",
      ].join());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "trades-" + (state.view === "headline" ? "headline" : nameOf(state.at)).replace(/[^\w.]+/g, "-") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- charts ----
  const darkQuery = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  let printing = false;
  const dark = () => darkQuery.matches && !printing;
  function recolour(value) {
    if (typeof value === "string") return data.dark[value] ?? value;
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === "object" && !ArrayBuffer.isView(value))
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v)]));
    return value;
  }
  const CONFIG = {
    displaylogo: false,
    responsive: false,
    showTips: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const drawn = {};
  function draw(id, figure, widest = Infinity) {
    const node = el(id);
    if (!node) return;
    drawn[id] = () => draw(id, figure, widest);
    let { data: traces, layout } = figure;
    if (dark()) [traces, layout] = [recolour(traces), recolour(layout)];
    const narrow = node.clientWidth < 560;
    layout = {
      ...layout,
      width: Math.min(node.clientWidth, widest),
      paper_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: dark() ? "#1f2731" : "#ffffff", font: { color: dark() ? "#dde3ea" : "#1d2733" } },
      margin: narrow ? { ...layout.margin, l: 46, r: 8 } : layout.margin,
      modebar: { bgcolor: "rgba(0,0,0,0)" },
    };
    if (coarse) layout.dragmode = false; // a finger scrolls the page
    if (narrow)
      for (const name of Object.keys(layout).filter((key) => key.startsWith("xaxis")))
        layout[name] = { ...layout[name], ...(layout[name].tickvals ? { tickangle: layout[name].tickvals.length > 4 ? -90 : 0 } : { nticks: layout[name].tickformat ? 3 : 4, tickangle: 0 }) };
    Plotly.react(node, traces, layout, { ...CONFIG, displayModeBar: layout.dragmode === false ? false : "hover" });
  }

  function sliceRows() {
    const { across, up } = data.heatmap;
    return levels[level[up]].values.map((_, y) =>
      levels[level[across]].values.map((_, x) => {
        const where = [...state.at];
        where[level[up]] = y;
        where[level[across]] = x;
        return rowOf.get(where.join());
      }),
    );
  }
  function drawHeatmap() {
    const metric = data.heatmap.metrics.find((m) => m.name === state.metric);
    const percent = metric.kind === "percent";
    const unit = percent ? " %" : "";
    const digits = metric.kind === "count" ? 0 : percent ? 1 : 2;
    const values = metrics[metric.name];
    const rows = sliceRows();
    const z = rows.map((line) => line.map((row) => (percent ? values[row] * 100 : values[row])));
    const text = z.map((line) => line.map((v) => (Number.isFinite(v) ? v.toFixed(digits).replace("-", "−") : NA)));
    const { across, up } = data.heatmap;
    const xs = levels[level[across]].values.map((v) => escape(v.text));
    const ys = levels[level[up]].values.map((v) => escape(v.text));
    const hover = rows.map((line, y) =>
      line.map((row, x) => `${xs[x]}, ${ys[y]}<br><b>${metric.label}: ${text[y][x]}${unit}</b><br>${fixed(metrics.trades[row], 0)} trades`),
    );
    const limit = Math.max(...z.flat().filter(Number.isFinite).map(Math.abs), 0) || 1;
    const base = data.figures.heatmap;
    const trace = {
      ...base.data[0], z, text, hovertext: hover, hovertemplate: "%{hovertext}<extra></extra>",
      colorscale: metric.signed ? data.heatmap.diverging : "Cividis",
      zmin: metric.signed ? -limit : undefined, zmax: metric.signed ? limit : undefined,
      zauto: !metric.signed,
      colorbar: { ...base.data[0].colorbar, title: { text: metric.label + (percent ? ", %" : ""), side: "right" } },
    };
    delete trace.customdata;
    const narrow = el("chart-heatmap").clientWidth < 560;
    if (narrow) {
      trace.showscale = false;
      trace.textfont = { size: xs.length > 6 ? 9 : 11 };
    }
    const strokes = [[-0.46, 0, 0, 0.46], [-0.46, -0.46, 0.46, 0.46], [0, -0.46, 0.46, 0]];
    let path = "";
    rows.forEach((line, y) => line.forEach((row, x) => {
      if (!(metrics.trades[row] < data.heatmap.thin)) return;
      for (const [x0, y0, x1, y1] of strokes) path += `M${x + x0},${y + y0}L${x + x1},${y + y1}`;
    }));
    const ink = base.layout.font.color;
    const frame = (where, line) => {
      const [x, y] = [where[level[across]], where[level[up]]];
      const box = { type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5 };
      const halo = { color: dark() ? "#11161c" : "#ffffff", width: line.width + 4 }; // seen on any colour
      return [{ ...box, line: halo }, { ...box, line: { color: ink, ...line } }];
    };
    const shapes = path ? [{ type: "path", path, line: { color: data.heatmap.hatch, width: 1 } }] : [];
    if (data.fixed !== null) {
      const where = at(data.fixed);
      const here = where.every((p, i) => p === state.at[i] || i === level[across] || i === level[up]);
      if (here && data.fixed !== selected()) shapes.push(...frame(where, { width: 2, dash: "dot" }));
    }
    shapes.push(...frame(state.at, { width: 3 }));
    draw("chart-heatmap", { data: [trace], layout: { ...base.layout, shapes } }, 220 + 130 * Math.max(xs.length, 2));
    el("plateau").textContent = data.plateaus[plateau[selected()]];
    if (el("heatmap-details").open) heatmapTable(text, unit, metric);
    drawRules();
  }
  // Rules beside the selected one: all its levels but the one across.
  function drawRules() {
    const base = data.figures.rules;
    if (!base) return;
    const k = level[data.heatmap.across];
    const rows = levels[k].values.map((_, x) => rowOf.get(state.at.map((p, i) => (i === k ? x : p)).join()));
    const xs = rows.map((_, x) => x);
    const [low, high, ratio, count] = ["sharpe_low", "sharpe_high", "rule_sharpe", "trades"].map((n) => rows.map((row) => metrics[n][row]));
    const hover = rows.map((row, x) =>
      `${escape(levels[k].values[x].text)}<br>Sharpe ratio ${number(ratio[x], "ratio")}<br>90 %: ${interval(row)}`);
    const ys = [low, high, ratio, count];
    const traces = base.data.map((trace, i) => ({ ...trace, x: xs, y: ys[i], hovertext: i === 2 ? hover : undefined }));
    const at = state.at[k];
    const mark = { type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: data.heatmap.hatch, width: 1, dash: "dot" } };
    draw("chart-rules", { data: traces, layout: { ...base.layout, shapes: [mark] } });
    if (!el("rules-details").open) return;
    const [head, body, top] = ["thead", "tbody", "tr"].map((tag) => document.createElement(tag));
    top.append(...[levels[k].label, "Sharpe ratio", "90 % interval", "Trades"].map((t) => cell(t, "", "th")));
    head.append(top);
    fill(body, rows.map((row, x) => [
      cell(levels[k].values[x].text, "row", "th"), cell(number(ratio[x], "ratio")), cell(interval(row)), cell(number(count[x], "count")),
    ]), "", 4);
    el("rules-table").replaceChildren(head, body);
  }
  function heatmapTable(text, unit, metric) {
    const { across, up } = data.heatmap;
    const table = el("heatmap-table");
    const caption = document.createElement("caption");
    caption.textContent = `${metric.label}: ${levels[level[up]].label} down, ${levels[level[across]].label} across`;
    const head = document.createElement("thead");
    const body = document.createElement("tbody");
    const top = document.createElement("tr");
    top.append(cell(levels[level[up]].label, "", "th"), ...levels[level[across]].values.map((v) => cell(v.text, "", "th")));
    head.append(top);
    fill(body, text.map((line, y) => [
      cell(levels[level[up]].values[y].text, "row", "th"),
      ...line.map((t) => cell(t === NA ? NA : t + unit)),
    ]), "", 1);
    table.replaceChildren(caption, head, body);
  }

  function drawEquity() {
    const series = embedded.get(selected());
    el("not-embedded").hidden = Boolean(series);
    if (!series)
      el("not-embedded").firstElementChild.textContent =
        `The daily series, drawdowns and trades of ${nameOf(state.at)} are not in this file: ${data.series.length} of ${data.rows} cells have them.`;
    const hold = data.holds[state.at[level.symbol]];
    const base = data.figures.equity;
    const ys = [hold, series, data.headline].flatMap((account) =>
      account ? [array(account.growth), array(account.underwater).map((v) => v * 100)] : [[], []]);
    const traces = base.data.map((trace, k) => ({ ...trace, x: ys[k].length ? milliseconds : [], y: ys[k] }));
    draw("chart-equity", { data: traces, layout: { ...base.layout, yaxis: { ...base.layout.yaxis, type: state.scale } } });
    if (el("equity-details").open) equityTable(ys);
  }
  function equityTable(ys) {
    const head = document.createElement("thead");
    const body = document.createElement("tbody");
    const top = document.createElement("tr");
    top.append(...["Month’s last day, UTC", "Headline, growth of 1", "Below peak that day", "Selected cell", "Below peak that day", "Buy and hold", "Below peak that day"].map((t) => cell(t, "", "th")));
    head.append(top);
    const rows = [];
    for (let k = 0; k < days.length; k++) {
      if (k + 1 < days.length && day(days[k]).slice(0, 7) === day(days[k + 1]).slice(0, 7)) continue;
      rows.push([cell(day(days[k])), ...[4, 2, 0].flatMap((i) => (ys[i].length ? [cell(fixed(ys[i][k], 4)), cell(number(ys[i + 1][k] / 100, "percent"))] : [cell("–"), cell("–")]))]);
    }
    fill(body, rows, "", 7);
    el("equity-table").replaceChildren(head, body);
  }

  // ---- state ----
  function show() {
    for (const select of document.querySelectorAll("[data-level]")) {
      const i = level[select.dataset.level];
      select.selectedIndex = state.at[i];
    }
    el("metric").value = state.metric;
    el("scale").value = state.scale;
    document.querySelectorAll(".view").forEach((node) => { node.value = state.view; });
    drawKey();
    drawSplits();
    drawDrawdowns();
    drawTrades();
    if (window.Plotly) {
      drawHeatmap();
      drawEquity();
    }
  }
  function select(where) {
    if (!rowOf.has(where.join())) return;
    state.at = where;
    state.view = "cell";
    writeHash();
    show();
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

  document.querySelectorAll("[data-level]").forEach((node) =>
    node.addEventListener("change", () => {
      const where = [...state.at];
      where[level[node.dataset.level]] = node.selectedIndex;
      select(where);
    }),
  );
  el("controls").addEventListener("submit", (event) => event.preventDefault());
  el("metric").addEventListener("change", () => { state.metric = el("metric").value; writeHash(); drawHeatmap(); });
  el("scale").addEventListener("change", () => { state.scale = el("scale").value; writeHash(); drawEquity(); });
  document.querySelectorAll(".view").forEach((node) =>
    node.addEventListener("change", () => { state.view = node.value; writeHash(); show(); }),
  );
  el("trade-order").addEventListener("change", () => { state.order = el("trade-order").value; drawTrades(); });
  el("csv").addEventListener("click", csv);
  el("nearest").addEventListener("click", nearest);
  el("reset")?.addEventListener("click", () => select(at(data.fixed)));
  el("heatmap-details").addEventListener("toggle", drawHeatmap);
  el("rules-details")?.addEventListener("toggle", drawRules);
  el("equity-details").addEventListener("toggle", drawEquity);
  addEventListener("hashchange", () => { readHash(); show(); });

  readHash();
  show(); // tables first: they need no plotly
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await inflate(el("plotly")));
  document.head.append(script);
  drawHeatmap();
  el("chart-heatmap").on("plotly_click", (event) => {
    const [y, x] = event.points[0].pointIndex ?? event.points[0].pointNumber;
    const where = [...state.at];
    where[level[data.heatmap.up]] = y;
    where[level[data.heatmap.across]] = x;
    select(where);
  });
  drawEquity();
  if (data.figures.splits) {
    const { data: bars, layout } = data.figures.splits;
    draw("chart-splits", { data: bars, layout: { ...layout, showlegend: false, margin: { ...layout.margin, t: 8, b: 30 }, height: layout.height - 44 } });
  }
  for (const name of ["random", "logits", "costs"])
    if (data.figures[name]) draw("chart-" + name, data.figures[name]);
  if (data.figures.reliability) draw("chart-reliability", data.figures.reliability);

  const redraw = () => Object.values(drawn).forEach((again) => again());
  darkQuery.addEventListener("change", redraw);
  let pending = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar changes the height only
    width = innerWidth;
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => { redraw(); drawHeatmap(); });
  });
  addEventListener("beforeprint", () => { printing = true; document.body.style.width = "700px"; redraw(); });
  addEventListener("afterprint", () => { printing = false; document.body.style.width = ""; redraw(); });
  document.documentElement.dataset.ready = "yes";
})();
