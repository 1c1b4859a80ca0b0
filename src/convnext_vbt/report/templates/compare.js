"use strict";
// Draws; every number was computed in Python. tables.js and charts.js come before it.
(async () => {
  const data = JSON.parse(el("data").textContent);
  colours = data.dark;
  document.querySelectorAll("table.sortable").forEach(sortable);
  await loadPlotly();
  for (const [name, figure] of Object.entries(data.figures)) chart(name, () => figure);
  drawStale();
  keepDrawn();
  document.documentElement.dataset.ready = "yes";
})();
