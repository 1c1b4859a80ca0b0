// Tables: text goes in through textContent only; every head sorts.
const el = (id) => document.getElementById(id);
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
  const table = body.closest("table");
  if (table) unsorted(table);
  if (rows.length) return;
  const row = document.createElement("tr");
  const note = cell(empty, "text muted");
  note.colSpan = columns;
  row.append(note);
  body.append(row);
}
// A whole table of texts; the first of each row is its head.
function tableOf(name, heads, rows, caption) {
  const head = document.createElement("thead");
  const top = document.createElement("tr");
  top.append(...heads.map((text) => cell(text, "", "th")));
  head.append(top);
  const body = document.createElement("tbody");
  fill(body, rows.map(([first, ...rest]) => [cell(first, "row", "th"), ...rest.map((text) => cell(text))]), "Nothing to show.", heads.length);
  const parts = [head, body];
  if (caption) {
    parts.unshift(document.createElement("caption"));
    parts[0].textContent = caption;
  }
  el(name + "-table").replaceChildren(...parts);
  sortable(el(name + "-table"));
}
const opened = (name) => Boolean(el(name + "-details")?.open);

// ---- sorting ----
// The first number of a cell, else its text; what is undefined comes last either way.
function sortKey(node) {
  const text = node.firstChild?.nodeType === 3 ? node.firstChild.textContent.trim() : node.textContent.trim();
  if (/^(n\/a|–|not embedded)/.test(text) || !text) return null;
  if (/^\d{4}-\d\d/.test(text)) return text;
  const found = text.replace(/,/g, "").replace(/−/g, "-").match(/^[<>]?\s*(-?\d+(\.\d+)?)/);
  return found ? Number(found[1]) : text.toLowerCase();
}
function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}
function sortBy(table, column, ascending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  if (rows.some((row) => row.cells.length <= column)) return;
  const keyed = rows.map((row, k) => [sortKey(row.cells[column]), k, row]);
  keyed.sort(([a, i], [b, j]) => {
    if (a === null || b === null) return a === b ? i - j : a === null ? 1 : -1;
    return (ascending ? 1 : -1) * compare(a, b) || i - j;
  });
  body.replaceChildren(...keyed.map(([, , row]) => row));
}
const unsorted = (table) => table.querySelectorAll("th[aria-sort]").forEach((th) => th.setAttribute("aria-sort", "none"));
function sortable(table) {
  if (!table.tHead) return;
  Array.from(table.tHead.rows[0].cells).forEach((th, column) => {
    if (th.querySelector("button")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...th.childNodes);
    th.append(button);
    th.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const ascending = th.getAttribute("aria-sort") === "descending"; // large numbers first
      unsorted(table);
      th.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortBy(table, column, ascending);
    });
  });
}
