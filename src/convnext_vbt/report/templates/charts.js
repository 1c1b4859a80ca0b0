// Charts: the frames come from Python as plotly figures, what is selected is put into them here.
// Those in view are drawn at once, the others while the browser is idle, one after another.
const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)").matches;
const CONFIG = {
  displaylogo: false,
  responsive: false,
  showTips: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};
const charts = new Map(); // name -> what makes {data, layout, widest}
const stale = new Set();
let colours = {};
let printing = false;
const dark = () => darkQuery.matches && !printing;

function recolour(value) {
  if (typeof value === "string") return colours[value] ?? value;
  if (ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(recolour);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v)]));
  return value;
}
// A frame with the data of its traces, by their `meta`.
function filled(frame, parts, layout = {}) {
  const data = frame.data.map((trace) => ({ ...trace, ...(parts[trace.meta] ?? {}) }));
  return { data, layout: { ...frame.layout, ...layout } };
}
const crowded = ({ tickvals, ticktext }, node) =>
  Array.from(ticktext ?? tickvals, String).reduce((sum, text) => sum + text.length + 2, 0) * 7 > node.clientWidth - 60;
function chart(name, make) {
  const node = el("chart-" + name);
  if (!node) return;
  charts.set(name, make);
  stale.add(name);
}
// Whether a trace has nothing that could be drawn; what Python filled in has.
function blank({ type, x, y }) {
  if (type === "heatmap") return false;
  const none = (values) => values?.length !== undefined && !Array.prototype.some.call(values, (v) => v !== null && !Number.isNaN(v));
  return none(x) || none(y);
}
function leaveBlank(node) {
  if (node.classList.contains("js-plotly-plot")) Plotly.purge(node);
  delete node.dataset.clicks; // its listeners went with it
  delete node.dataset.zooms;
  node.style.minHeight = "";
  node.classList.add("blank");
  node.textContent = "Nothing to draw: too few days or trades.";
}
function drawChart(name) {
  stale.delete(name);
  const node = el("chart-" + name);
  const made = charts.get(name)();
  node.hidden = !made;
  if (!made) return;
  if (made.data.every(blank)) return leaveBlank(node);
  node.classList.remove("blank");
  let { data: traces, layout } = made;
  if (dark()) [traces, layout] = [recolour(traces), recolour(layout)];
  const narrow = node.clientWidth < 560;
  layout = {
    ...layout,
    width: Math.min(node.clientWidth, made.widest ?? Infinity),
    paper_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: dark() ? "#1f2731" : "#ffffff", font: { color: dark() ? "#dde3ea" : "#1d2733" } },
    margin: narrow ? { ...layout.margin, l: Math.min(layout.margin.l, 56), r: 8 } : layout.margin,
    modebar: { bgcolor: "rgba(0,0,0,0)" },
  };
  if (coarse) layout.dragmode = false; // a finger scrolls the page
  if (narrow)
    for (const axis of Object.keys(layout).filter((key) => key.startsWith("xaxis")))
      layout[axis] = { ...layout[axis], ...(layout[axis].tickvals ? { tickangle: crowded(layout[axis], node) ? -90 : 0 } : { nticks: layout[axis].tickformat ? 3 : 5, tickangle: 0 }) };
  node.style.minHeight = "";
  Plotly.react(node, traces, layout, { ...CONFIG, displayModeBar: layout.dragmode === false ? false : "hover" });
  if (made.clicked && !node.dataset.clicks) {
    node.dataset.clicks = "yes";
    node.on("plotly_click", made.clicked);
  }
  if (made.zoomed && !node.dataset.zooms) {
    node.dataset.zooms = "yes";
    node.on("plotly_relayout", made.zoomed);
  }
}
function inView(name) {
  const box = el("chart-" + name).getBoundingClientRect();
  return box.bottom > -100 && box.top < innerHeight + 100;
}
let working = 0;
function drawStale() {
  if (!window.Plotly) return;
  for (const name of [...stale]) if (inView(name)) drawChart(name);
  mark();
  if (!working && stale.size) working = whenIdle(drawNext);
}
function drawNext() {
  working = 0;
  const [name] = stale;
  if (name) drawChart(name);
  mark();
  if (stale.size) working = whenIdle(drawNext);
}
const whenIdle = (act) => (window.requestIdleCallback ? requestIdleCallback(act, { timeout: 200 }) : setTimeout(act, 30));
// Tests wait for "yes": `seen`, all charts in view are drawn; `drawn`, every chart on the page is.
const mark = () => {
  document.documentElement.dataset.drawn = stale.size ? "no" : "yes";
  document.documentElement.dataset.seen = "yes";
};
function redrawAll() {
  for (const name of charts.keys()) stale.add(name);
  for (const name of [...stale]) drawChart(name);
  mark();
}

// ---- the page's own parts, gzip in base64 ----
async function inflate(node) {
  const text = atob(node.textContent);
  node.remove();
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await inflate(el("plotly")));
  document.head.append(script);
}
// Draw again when the page is scrolled, made narrower, darkened or printed.
function keepDrawn() {
  addEventListener("scroll", drawStale, { passive: true });
  const redrawLazily = () => {
    for (const name of charts.keys()) stale.add(name);
    drawStale();
  };
  darkQuery.addEventListener("change", redrawLazily);
  let pending = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar changes the height only
    width = innerWidth;
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(redrawLazily);
  });
  addEventListener("beforeprint", () => { printing = true; document.body.style.width = "700px"; document.body.classList.toggle("phone", innerWidth <= 760); redrawAll(); });
  addEventListener("afterprint", () => { printing = false; document.body.style.width = ""; redrawAll(); });
}
