// The timeline without its legend, which is beside it.
section(({ frames, draw }) => {
  if (!frames.splits) return;
  const { data, layout } = frames.splits;
  draw("splits", () => ({ data, layout: { ...layout, showlegend: false, margin: { ...layout.margin, t: 8, b: 30 }, height: layout.height - 24 } }));
});
