"use strict";
// Numbers and times as text; formats.py is the twin of `number`.
const NA = "n/a";
function fixed(value, digits) {
  const [whole, rest] = Math.abs(value).toFixed(digits).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? "." + rest : "");
  return value < 0 && /[1-9]/.test(text) ? "−" + text : text;
}
function number(value, kind, trades) {
  if (!Number.isFinite(value)) return trades === 0 ? NA + " (0 trades)" : NA;
  if (kind === "percent") return fixed(value * 100, Math.abs(value) < 10 ? 1 : 0) + " %";
  if (kind === "basis_points") return fixed(value * 1e4, 1) + " bp";
  if (kind === "probability") return value > 0.9995 ? "> 0.999" : value < 0.0005 ? "< 0.001" : fixed(value, 3);
  if (kind === "count") return fixed(value, 0);
  if (kind === "times") return fixed(value, 1) + " ×";
  if (kind === "money") return fixed(value, Math.abs(value) < 100 ? 2 : 0);
  if (kind === "days") return fixed(value, value < 10 ? 1 : 0) + " days";
  return fixed(value, 2);
}
const span = (low, high) =>
  Number.isFinite(low) && Number.isFinite(high) ? fixed(low, 2) + " to " + fixed(high, 2) : NA;
const price = (value) => fixed(value, value >= 1000 ? 2 : value >= 1 ? 4 : 8);
const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
const day = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
const month = (months) => `${1970 + Math.floor(months / 12)}-${String((months % 12) + 1).padStart(2, "0")}`;
// Plotly reads pseudo-HTML in texts.
const escape = (text) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
