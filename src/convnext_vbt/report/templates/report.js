// Selects and draws; every number was computed in Python.
(async () => {
  const data = JSON.parse(el("data").textContent);
  // Arrays lie in the pool byte plane by byte plane, because that compresses better.
  const pool = new Uint8Array(await inflate(el("pool")));
  const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, i2: Int16Array, u1: Uint8Array };
  const unpacked = new Map();
  function array(ref) {
    const key = [ref.at, ref.n, ref.t, ref.step, ref.line].join(); // an empty array shares its place
    if (unpacked.has(key)) return unpacked.get(key);
    const size = TYPES[ref.t].BYTES_PER_ELEMENT;
    const bytes = new Uint8Array(ref.n * size);
    for (let plane = 0, from = ref.at; plane < size; plane++)
      for (let k = plane; k < bytes.length; k += size) bytes[k] = pool[from++];
    let found = new TYPES[ref.t](bytes.buffer);
    if (ref.step) {
      let sum = 0; // lines are stored as differences
      const scale = Math.round(1 / ref.step);
      const nan = ref.t === "i2" ? -(2 ** 15) : -(2 ** 31);
      found = Float64Array.from(found, (v) => (ref.line ? (sum += v) : v === nan ? NaN : v) / scale);
    }
    unpacked.set(key, found);
    return found;
  }
  data.series = JSON.parse(new TextDecoder().decode(pool.subarray(data.series.at, data.series.at + data.series.n)));
  const percent = (ref) => Array.from(array(ref), (v) => v * 100);
  colours = data.dark;

  // ---- the sweep ----
  const levels = data.levels;
  const level = Object.fromEntries(levels.map((l, i) => [l.name, i]));
  const positions = array(data.positions); // rows x levels
  const at = (row) => Array.from(positions.subarray(row * levels.length, (row + 1) * levels.length));
  const rowOf = new Map();
  for (let row = 0; row < data.rows; row++) rowOf.set(at(row).join(), row);
  const metrics = Object.fromEntries(Object.entries(data.metrics).map(([k, ref]) => [k, array(ref)]));
  const embedded = new Map(data.series.map((series) => [series.row, series]));
  const plateau = array(data.plateau);
  const frames = data.figures;

  // ---- time ----
  const steps = array(data.bars); // seconds between bars; the first is since 1970
  const times = new Float64Array(steps.length);
  for (let i = 0, t = data.first_bar; i < steps.length; i++) times[i] = t += steps[i];
  const days = array(data.days);
  const dayTimes = Float64Array.from(days, (d) => d * 86400000);
  const rollingAt = array(data.rolling_at);
  const rollingTimes = Float64Array.from(rollingAt, (k) => dayTimes[k]);
  const months = array(data.months);

  const state = {
    at: at(data.start), metric: data.heatmap.metric, scale: "linear", costs: "net", order: "worst",
    view: "headline", zoom: null,
  };
  const selected = () => rowOf.get(state.at.join());
  const chosen = () => embedded.get(selected());
  const hold = () => data.holds[state.at[level.symbol]];
  const viewed = () => (state.view === "headline" ? data.headline : chosen());
  const nameOf = (where) =>
    levels.map((l, i) => [l, i]).filter(([l]) => l.values.length > 1 || l.name === "risk")
      .map(([l, i]) => l.values[where[i]].text + (l.name === "risk" ? " risk" : "")).join(" · ");

  const CHOICES = { metric: data.heatmap.metrics.map((m) => m.name), view: ["headline", "cell"], scale: ["linear", "log"], costs: ["net", "gross"] };
  function readHash() {
    const query = new URLSearchParams(location.hash.slice(1));
    const wanted = levels.map((l, i) => {
      const k = l.values.findIndex((v) => v.key === query.get(l.name));
      return k < 0 ? state.at[i] : k;
    });
    if (rowOf.has(wanted.join())) state.at = wanted;
    for (const [name, values] of Object.entries(CHOICES)) if (values.includes(query.get(name))) state[name] = query.get(name);
  }
  function writeHash() {
    const query = new URLSearchParams();
    levels.forEach((l, i) => l.values.length > 1 && query.set(l.name, l.values[state.at[i]].key));
    for (const name of Object.keys(CHOICES)) query.set(name, state[name]);
    try {
      history.replaceState(null, "", "#" + query);
    } catch {
      // A sandboxed frame has no history; the page works without it.
    }
  }

  // ---- key figures ----
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
    if (!series && (data.carried.includes(name) || (state.costs === "gross" && k >= 0))) return "not embedded";
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
      cells.hold.textContent = gross ? grossText(hold(), line, "hold") : hold().figures[line.name];
      cells.headline.textContent = gross ? grossText(data.headline, line, "headline") : line.net.headline;
      if (cells.fixed) cells.fixed.textContent = gross ? figure(line.name, data.fixed) : line.net.fixed;
      cells.random.textContent = gross ? "–" : line.net.random;
    }
    const same = row === data.fixed;
    el("after-costs").textContent = gross ? "gross: before costs" : "after costs";
    el("gross-note").hidden = !gross;
    el("selected-name").textContent = nameOf(state.at);
    el("selected-note").textContent = same ? "same as the strategy file’s" : "exploratory, chosen in hindsight";
    if (el("reset")) el("reset").hidden = same;
    const missing = el("not-embedded");
    missing.hidden = Boolean(chosen());
    if (!missing.hidden) {
      const like = cellRows();
      const carried = like.filter((row) => embedded.has(row)).length;
      missing.firstElementChild.textContent =
        `The daily series, drawdowns and trades of ${nameOf(state.at)} are not in this file: ${carried} of ${like.length} ${like.length < data.rows ? "such " : ""}cells have them.`;
    }
  }

  function drawSplits() {
    const series = chosen();
    const shown = { return: "percent", drawdown: "percent", sharpe: "ratio", trades: "count" };
    for (const [name, kind] of Object.entries(shown)) {
      const values = series ? array(series.splits[name]) : null;
      document.querySelectorAll(`[data-split="${name}"]`).forEach((node) => {
        const k = data.split_labels.indexOf(node.parentNode.cells[0].textContent);
        node.textContent = values ? number(values[k], kind) : "–";
        if (name === "return") node.className = values && values[k] < 0 ? "bad" : "";
      });
    }
  }

  function drawDrawdowns() {
    const series = viewed();
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
  const REASONS = ["open at the end", "signal", "reversal", "stop", "stop, gapped through", "take-profit", "time limit", "account bust", "delisted"];
  const tradesOf = (series) => Object.fromEntries(Object.entries(series.trades).map(([name, ref]) => [name, array(ref)]));
  const symbols = () => {
    const value = levels[level.symbol].values[state.at[level.symbol]];
    return state.view === "headline" || value.key === "total" ? data.headline.symbols : [value.text];
  };
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
    const share = (value) => fixed(value * 100, 2) + " %";
    const rows = order.slice(0, 100).map((k) => [
      cell((trades.side[k] ? "▼ short" : "▲ long") + (names.length > 1 ? " " + names[trades.symbol[k]] : "")),
      cell(stamp(times[trades.entry[k]])),
      cell(trades.reason[k] ? stamp(times[trades.exit[k]]) : "–"),
      cell(fixed(trades.exit[k] - trades.entry[k], 0)),
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
        trades.exit[k] - trades.entry[k], trades.entry_price[k], trades.exit_price[k], trades.size[k], trades.fees[k],
        trades.adverse[k], trades.favourable[k], trades.return[k], trades.profit[k], trades.share[k],
        `"${REASONS[trades.reason[k]]}"`, trades.capped[k] ? "yes" : "no",
      ].join());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "trades-" + (state.view === "headline" ? "headline" : nameOf(state.at)).replace(/[^\w.]+/g, "-") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- the sweep's charts ----
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
    const shapes = path ? [{ type: "path", path, line: { color: data.heatmap.hatch, width: 1 } }] : [];
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
      `${escape(ticks(across)[x])}<br>Sharpe ratio ${number(ratio[x], "ratio")}<br>90 %: ${span(low[x], high[x])}`);
    const ys = [low, high, ratio, count];
    const traces = base.data.map((trace, i) => ({ ...trace, x: rows.map((_, x) => x), y: ys[i], hovertext: i === 2 ? hover : undefined }));
    const here = state.at[level[across]];
    const line = { type: "line", x0: here, x1: here, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: data.heatmap.hatch, width: 1, dash: "dot" } };
    return { data: traces, layout: { ...base.layout, shapes: [line] } };
  }
  const rulesTable = () =>
    tableOf("rules", [levels[level[across]].label, "Sharpe ratio", "90 % interval", "Trades"], beside().map((row, x) => [
      ticks(across)[x], number(metrics.rule_sharpe[row], "ratio"), span(metrics.sharpe_low[row], metrics.sharpe_high[row]), number(metrics.trades[row], "count"),
    ]));
  const hoverOf = (name, drawdown, cagr, trades) =>
    `${escape(name)}<br>growth ${number(cagr, "percent")} a year<br>drawdown ${number(drawdown, "percent")}` + (trades === undefined ? "" : `<br>${number(trades, "count")} trades`);
  const sameSymbol = (row) => at(row)[level.symbol] === state.at[level.symbol];
  const cellRows = () => Array.from({ length: data.rows }, (_, row) => row).filter(sameSymbol);
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
    tableOf("frontier", ["Cell", "Growth a year", "Maximum drawdown", "Sharpe ratio", "Trades"], cellRows().map((row) => [
      nameOf(at(row)), number(metrics.cagr[row], "percent"), number(metrics.max_drawdown[row], "percent"), number(metrics.sharpe[row], "ratio", metrics.trades[row]), number(metrics.trades[row], "count"),
    ]));

  // ---- time ----
  const zoomed = (event) => {
    const keys = Object.keys(event);
    const first = keys.find((key) => /^xaxis2?\.range\[0\]$/.test(key));
    if (first) state.zoom = [event[first], event[first.replace("[0]", "[1]")]];
    else if (keys.some((key) => /^xaxis2?\.autorange$/.test(key))) state.zoom = null;
    else return;
    redraw("equity", "price", "rolling");
  };
  const timeAxis = (axis) => ({ ...axis, ...(state.zoom ? { range: state.zoom, autorange: false } : { range: [dayTimes[0], dayTimes[dayTimes.length - 1] + 86400000], autorange: false }) });
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
    for (const [k, ref] of Object.entries(frames.fan ?? {}))
      parts["fan " + k] = state.costs === "net" ? { x: dayTimes, y: array(ref) } : { x: [], y: [], showlegend: false };
    const { layout } = frames.equity;
    const made = filled(frames.equity, parts, { yaxis: { ...layout.yaxis, type: state.scale }, xaxis: timeAxis(layout.xaxis), xaxis2: timeAxis(layout.xaxis2) });
    return { ...made, zoomed };
  }
  const monthEnds = () => Array.from(days.keys()).filter((k) => k + 1 === days.length || day(days[k]).slice(0, 7) !== day(days[k + 1]).slice(0, 7));
  function equityTable() {
    const each = [data.headline, chosen(), hold()].map((account) => account && [array(account[state.costs].growth), array(account[state.costs].underwater)]);
    tableOf("equity", ["Month’s last day, UTC", "Headline, growth of 1", "Below peak that day", "Selected cell", "Below peak that day", "Buy and hold", "Below peak that day"],
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
    const shown = state.at[level.symbol];
    const symbol = levels[level.symbol].values[shown].text;
    const [from, to] = state.zoom ? state.zoom.map((v) => (typeof v === "number" ? v : Date.parse(v.replace(" ", "T") + (v.length > 10 ? "Z" : "")))) : [-Infinity, Infinity];
    let [x, y] = closes(shown);
    if (state.zoom) {
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
    const basket = "buying all symbols in equal shares; choose a symbol to see its trades.";
    const count = symbol === "total" ? basket : !series ? "The trades of this cell are not in this file." : drawn < inside ? `The ${fixed(drawn, 0)} largest of ${fixed(inside, 0)} trades in view are drawn; zoom in for the others.` : `${fixed(inside, 0)} trade${inside === 1 ? "" : "s"} in view; drag to zoom, double-click to come back.`;
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
    tableOf("rolling", ["Last 90 days up to", "Headline", "Selected cell", "Buy and hold"],
      Array.from(rollingAt.keys()).map((k) => [day(days[rollingAt[k]]), ...each.map((own) => (own ? number(own[k], "ratio") : "–"))]));
  }
  function splitSharpes() {
    const series = chosen();
    const own = series ? array(series.splits.sharpe) : [];
    return filled(frames.split_sharpes, { cell: { x: Array.from(own.keys()), y: own } });
  }

  // ---- returns ----
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

  // ---- model ----
  function deciles() {
    const series = viewed();
    const parts = { trades: { x: [], y: [] } };
    if (series?.deciles) {
      const [net, count] = [array(series.deciles.net), array(series.deciles.count)];
      const own = Array.from(net.keys()).filter((k) => count[k] > 0);
      parts.trades = {
        x: own.map((k) => data.deciles[k]), y: own.map((k) => net[k] * 1e4),
        hovertext: own.map((k) => `${number(net[k], "basis_points")} net a trade, ${fixed(count[k], 0)} trade${count[k] === 1 ? "" : "s"}`),
      };
    }
    return filled(frames.deciles, parts);
  }
  const limits = () => data.thresholds[state.at[level.threshold] ?? -1] ?? null;
  function outlines() {
    const base = frames.outlines;
    const range = limits();
    const line = { color: data.heatmap.hatch, width: 1.5, dash: "dash" };
    const shapes = !range ? [] : ["x", "x2"].flatMap((x) => [...new Set(range)].map((v) => ({
      type: "line", xref: x, yref: x === "x" ? "y domain" : "y2 domain", x0: v, x1: v, y0: 0, y1: 1, line,
    })));
    el("threshold-note").textContent = range
      ? `Dashed: the selected cell enters from ${range[0] === range[1] ? fixed(range[0], 3) : `${fixed(range[0], 3)} to ${fixed(range[1], 3)}, depending on the split`}.`
      : "";
    return { data: base.data, layout: { ...base.layout, shapes } };
  }

  // ---- state ----
  const fixedFrame = (name, change = (layout) => layout) => () => ({ data: frames[name].data, layout: change(frames[name].layout) });
  const TABLES = {
    heatmap: heatmapTable, rules: rulesTable, frontier: frontierTable, equity: equityTable, rolling: rollingTable, monthly: monthlyTable,
    trade_returns: () => histogramTable("trade_returns", "return", 100, 2, ["Net return from, %", "to, %", "Trades"]),
    holding: () => histogramTable("holding", "held", 1, 1, ["Bars held from", "to", "Trades"]),
  };
  const openTables = () => { for (const [name, make] of Object.entries(TABLES)) if (opened(name)) make(); };
  // The charts that follow the selection; those of the account in view; those of the scale.
  const CELL = ["heatmap", "rules", "frontier", "equity", "rolling", "split_sharpes", "outlines"];
  const VIEW = ["price", "monthly", "trade_returns", "holding", "excursions", "deciles"];
  function redraw(...names) {
    for (const name of names) if (charts.has(name)) stale.add(name);
    drawStale();
    openTables();
  }
  function show() {
    for (const node of document.querySelectorAll("[data-level]")) node.selectedIndex = state.at[level[node.dataset.level]];
    el("metric").value = state.metric;
    el("scale").value = state.scale;
    el("costs-in").value = state.costs;
    document.querySelectorAll(".view").forEach((node) => { node.value = state.view; });
    for (const node of document.querySelectorAll(".whose"))
      node.textContent = state.view === "headline" ? "Of the headline." : `Of the selected cell, ${nameOf(state.at)}.`;
    el("plateau").textContent = data.plateaus[plateau[selected()]];
    drawKey();
    drawSplits();
    drawDrawdowns();
    drawTrades();
    redraw(...CELL, ...VIEW);
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
  el("metric").addEventListener("change", () => { state.metric = el("metric").value; writeHash(); redraw("heatmap"); });
  el("scale").addEventListener("change", () => { state.scale = el("scale").value; writeHash(); redraw("equity"); });
  el("costs-in").addEventListener("change", () => { state.costs = el("costs-in").value; writeHash(); drawKey(); redraw("equity"); });
  document.querySelectorAll(".view").forEach((node) =>
    node.addEventListener("change", () => { state.view = node.value; writeHash(); show(); }),
  );
  el("trade-order").addEventListener("change", () => { state.order = el("trade-order").value; drawTrades(); });
  el("csv").addEventListener("click", csv);
  el("nearest").addEventListener("click", nearest);
  el("reset")?.addEventListener("click", () => select(at(data.fixed)));
  for (const [name, make] of Object.entries(TABLES)) el(name + "-details")?.addEventListener("toggle", () => opened(name) && make());
  document.querySelectorAll("nav a").forEach((link) =>
    link.addEventListener("click", (event) => {
      event.preventDefault(); // the address holds the selection
      document.querySelector(link.getAttribute("href")).scrollIntoView();
    }),
  );
  addEventListener("hashchange", () => { readHash(); show(); });
  document.querySelectorAll("table.sortable").forEach(sortable);

  readHash();
  show(); // tables first: they need no plotly
  await loadPlotly();

  chart("heatmap", heatmap);
  if (frames.rules) chart("rules", rules);
  chart("frontier", frontier);
  chart("equity", equity);
  chart("price", priceChart);
  chart("rolling", rolling);
  chart("monthly", monthly);
  chart("trade_returns", () => histogram("trade_returns", "return", 100));
  chart("holding", () => histogram("holding", "held", 1));
  chart("excursions", excursions);
  if (frames.split_sharpes) chart("split_sharpes", splitSharpes);
  if (frames.splits)
    chart("splits", fixedFrame("splits", (layout) => ({ ...layout, showlegend: false, margin: { ...layout.margin, t: 8, b: 30 }, height: layout.height - 24 })));
  if (frames.deciles) chart("deciles", deciles);
  if (frames.outlines) chart("outlines", outlines);
  for (const name of ["random", "logits", "ranks", "costs", "logloss", "reliability"]) if (frames[name]) chart(name, fixedFrame(name));
  for (const name of charts.keys()) el("chart-" + name).style.minHeight = (frames[name].layout.height ?? 0) + "px"; // nothing jumps
  drawStale();
  keepDrawn();
  document.documentElement.dataset.ready = "yes";
})();
