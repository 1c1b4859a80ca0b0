// What all sections' scripts build on: data, cells, accounts in view, the selection and its address.
// Every number was computed in Python; the scripts select and draw.
const sections = [];
const section = (make) => sections.push(make); // called once the data are unpacked
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
  colours = data.dark;
  const frames = data.figures;

  // ---- cells ----
  const levels = data.levels;
  const level = Object.fromEntries(levels.map((l, i) => [l.name, i]));
  const positions = array(data.positions); // rows x levels
  const at = (row) => Array.from(positions.subarray(row * levels.length, (row + 1) * levels.length));
  const rowOf = new Map();
  for (let row = 0; row < data.rows; row++) rowOf.set(at(row).join(), row);
  const metrics = Object.fromEntries(Object.entries(data.metrics).map(([k, ref]) => [k, array(ref)]));
  const embedded = new Map(data.series.map((series) => [series.row, series]));

  // ---- time ----
  const steps = array(data.bars); // seconds between bars; the first is since 1970
  const times = new Float64Array(steps.length);
  for (let i = 0, t = data.first_bar; i < steps.length; i++) times[i] = t += steps[i];
  const days = array(data.days);
  const dayTimes = Float64Array.from(days, (d) => d * 86400000);

  // ---- what is selected ----
  const choices = new Map([["view", { values: ["headline", "cell"], nodes: document.querySelectorAll(".view") }]]);
  const state = { at: at(data.start), view: "headline" };
  const selected = () => rowOf.get(state.at.join());
  const chosen = () => embedded.get(selected());
  const hold = () => data.holds[state.at[level.symbol]];
  const viewed = () => (state.view === "headline" ? data.headline : chosen());
  const nameOf = (where) =>
    levels.map((l, i) => [l, i]).filter(([l]) => l.values.length > 1 || l.name === "risk")
      .map(([l, i]) => l.values[where[i]].text + (l.name === "risk" ? " risk" : "")).join(" · ");
  const sameSymbol = (row) => at(row)[level.symbol] === state.at[level.symbol];
  const cellRows = () => Array.from({ length: data.rows }, (_, row) => row).filter(sameSymbol);
  const tradesOf = (series) => Object.fromEntries(Object.entries(series.trades).map(([name, ref]) => [name, array(ref)]));
  const symbols = () => {
    const value = levels[level.symbol].values[state.at[level.symbol]];
    return state.view === "headline" || value.key === "total" ? data.headline.symbols : [value.text];
  };

  // ---- what follows the selection ----
  // What is done on every selection, and whenever one of the choices in `names` changes.
  const follows = [];
  const tables = new Map();
  function draw(name, make, ...names) {
    chart(name, make);
    follows.push({ chart: name, names });
  }
  function shown(act, ...names) {
    follows.push({ act, names });
  }
  function table(name, make) {
    tables.set(name, make);
    el(name + "-details").addEventListener("toggle", () => opened(name) && make());
  }
  function redraw(...names) {
    for (const name of names) if (charts.has(name)) stale.add(name);
    drawStale();
    for (const [name, make] of tables) if (opened(name)) make();
  }
  function follow(wanted = () => true) {
    const own = follows.filter(wanted);
    for (const { act } of own) act?.();
    redraw(...own.flatMap((each) => each.chart ?? []));
  }
  // A choice among values, the first one at the beginning; the address remembers it.
  function choice(name, id, values) {
    const node = el(id);
    choices.set(name, { values, nodes: [node] });
    state[name] = values[0];
    node.addEventListener("change", () => {
      state[name] = node.value;
      writeHash();
      follow(({ names }) => names.includes(name));
    });
  }
  function show() {
    for (const node of document.querySelectorAll("[data-level]")) node.selectedIndex = state.at[level[node.dataset.level]];
    for (const [name, { nodes }] of choices) nodes.forEach((node) => { node.value = state[name]; });
    for (const node of document.querySelectorAll(".whose"))
      node.textContent = state.view === "headline" ? "Of the headline." : `Of the selected cell, ${nameOf(state.at)}.`;
    follow();
  }
  function select(where) {
    if (!rowOf.has(where.join())) return;
    state.at = where;
    state.view = "cell";
    writeHash();
    show();
  }

  // ---- the address ----
  function readHash() {
    const query = new URLSearchParams(location.hash.slice(1));
    const wanted = levels.map((l, i) => {
      const k = l.values.findIndex((v) => v.key === query.get(l.name));
      return k < 0 ? state.at[i] : k;
    });
    if (rowOf.has(wanted.join())) state.at = wanted;
    for (const [name, { values }] of choices) if (values.includes(query.get(name))) state[name] = query.get(name);
  }
  function writeHash() {
    const query = new URLSearchParams();
    levels.forEach((l, i) => l.values.length > 1 && query.set(l.name, l.values[state.at[i]].key));
    for (const name of choices.keys()) query.set(name, state[name]);
    try {
      history.replaceState(null, "", "#" + query);
    } catch {
      // A sandboxed frame has no history; the page works without it.
    }
  }

  // ---- the sections ----
  choice("costs", "costs-in", ["net", "gross"]);
  choice("scale", "scale", ["linear", "log"]);
  const page = {
    data, array, frames, levels, level, at, rowOf, metrics, embedded, times, days, dayTimes,
    state, selected, chosen, hold, viewed, nameOf, cellRows, tradesOf, symbols,
    draw, shown, table, choice, redraw, select,
  };
  for (const make of sections) make(page);
  for (const [name, figure] of Object.entries(frames)) if (!charts.has(name)) chart(name, () => figure); // no script fills it
  for (const name of charts.keys()) el("chart-" + name).style.minHeight = (frames[name].layout.height ?? 0) + "px"; // nothing jumps

  document.querySelectorAll("[data-level]").forEach((node) =>
    node.addEventListener("change", () => {
      const where = [...state.at];
      where[level[node.dataset.level]] = node.selectedIndex;
      select(where);
    }),
  );
  el("controls").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll(".view").forEach((node) =>
    node.addEventListener("change", () => { state.view = node.value; writeHash(); show(); }),
  );
  el("reset")?.addEventListener("click", () => select(at(data.fixed)));
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
  drawStale();
  keepDrawn();
  document.documentElement.dataset.ready = "yes";
})();
