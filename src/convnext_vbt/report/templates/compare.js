"use strict";
// Draws; every number was computed in Python.
(async () => {
  const el = (id) => document.getElementById(id);
  const data = JSON.parse(el("data").textContent);

  async function inflate(node) {
    const text = atob(node.textContent);
    node.remove();
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  const darkQuery = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  let printing = false;
  function recolour(value) {
    if (typeof value === "string") return data.dark[value] ?? value;
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v)]));
    return value;
  }
  function draw(name) {
    const node = el("chart-" + name);
    const dark = darkQuery.matches && !printing;
    const figure = dark ? recolour(data.figures[name]) : data.figures[name];
    const narrow = node.clientWidth < 560;
    const layout = {
      ...figure.layout,
      width: node.clientWidth,
      paper_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: dark ? "#1f2731" : "#ffffff", font: { color: dark ? "#dde3ea" : "#1d2733" } },
      margin: narrow ? { ...figure.layout.margin, l: 46, r: 8 } : figure.layout.margin,
      modebar: { bgcolor: "rgba(0,0,0,0)" },
    };
    if (coarse) layout.dragmode = false; // a finger scrolls the page
    if (narrow)
      for (const axis of Object.keys(layout).filter((key) => key.startsWith("xaxis")))
        layout[axis] = { ...layout[axis], nticks: 4, tickangle: 0 };
    Plotly.react(node, figure.data, layout, {
      displaylogo: false, responsive: false, showTips: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      displayModeBar: layout.dragmode === false ? false : "hover",
    });
  }
  const redraw = () => Object.keys(data.figures).forEach(draw);

  const script = document.createElement("script");
  script.textContent = await inflate(el("plotly"));
  document.head.append(script);
  redraw();
  darkQuery.addEventListener("change", redraw);
  let pending = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar changes the height only
    width = innerWidth;
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(redraw);
  });
  addEventListener("beforeprint", () => { printing = true; document.body.style.width = "700px"; redraw(); });
  addEventListener("afterprint", () => { printing = false; document.body.style.width = ""; redraw(); });
  document.documentElement.dataset.ready = "yes";
})();
