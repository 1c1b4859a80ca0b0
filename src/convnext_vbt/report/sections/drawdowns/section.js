// The ten deepest falls of the account in view.
section(({ array, times, viewed, shown }) => {
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
  shown(drawDrawdowns);
});
