// The selected cell within each split.
section(({ data, array, frames, chosen, draw, shown }) => {
  function drawSplits() {
    const series = chosen();
    const kinds = { return: "percent", drawdown: "percent", sharpe: "ratio", trades: "count" };
    for (const [name, kind] of Object.entries(kinds)) {
      const values = series ? array(series.splits[name]) : null;
      document.querySelectorAll(`[data-split="${name}"]`).forEach((node) => {
        const k = data.split_labels.indexOf(node.parentNode.cells[0].textContent);
        node.textContent = values ? number(values[k], kind) : "–";
        if (name === "return") node.className = values && values[k] < 0 ? "bad" : "";
      });
    }
  }
  function splitSharpes() {
    const series = chosen();
    const own = series ? array(series.splits.sharpe) : [];
    return filled(frames.split_sharpes, { cell: { x: Array.from(own.keys()), y: own } });
  }
  shown(drawSplits);
  if (frames.split_sharpes) draw("split_sharpes", splitSharpes);
});
