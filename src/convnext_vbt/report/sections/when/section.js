// The rolling figures as a table; nothing here follows the selection.
section(({ data, array, table }) => {
  if (!data.when) return; // it never traded
  const names = ["gross", "net", "volatility", "beta", "sharpe"];
  table("when-rolling", () => {
    const days = array(data.when.days);
    const columns = names.map((name) => array(data.when[name]));
    const kinds = { gross: "percent", net: "percent", volatility: "percent" };
    tableOf("when-rolling", ["Day", "Gross, of equity", "Net, of equity", "Volatility, annual", "Beta", "Sharpe ratio, annual"],
      Array.from(days.keys()).map((k) => [day(days[k]), ...names.map((name, i) => number(columns[i][k], kinds[name] ?? "ratio"))]));
  });
});
