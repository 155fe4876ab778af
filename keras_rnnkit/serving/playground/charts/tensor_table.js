/** A tensor as a table of numbers, cut where it is long. */

import { element } from "../parts/dom.js";
import { shapeText } from "../models/model.js";

const ROWS = 40;
const COLUMNS = 24;

/**
 * @param {import("../models/model.js").Tensor} tensor
 * @param {string[] | null} [labels] the names of the columns, where there are as many
 */
export function tensorTable({ name, datatype, shape, data }, labels = null) {
  const names = labels?.length === shape.at(-1) ? labels : null;
  const width = shape.length ? shape.at(-1) : 1;
  const count = width ? data.length / width : 0;
  const shown = Math.min(width, COLUMNS);
  const share = data.length > 1 && data.every((value) => value >= 0 && value <= 1) && count === 1; // looks like probabilities
  const caption = element("p", {}, element("strong", {}, name), ` ${datatype} ${shapeText(shape)}`);
  const table = share ? shares(name, data, names) : grid(shape, data, width, Math.min(count, ROWS), shown, names);
  const cut = count > ROWS || width > shown;
  return element(
    "div", {}, caption, element("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": `Values of ${name}` }, table),
    cut ? element("p", { className: "quiet" }, `The first ${Math.min(count, ROWS)} of ${count} rows and ${shown} of ${width} columns.`) : null,
  );
}

/** A line with a bar for each class. */
function shares(name, data, names) {
  return element("table", { className: "numbers" }, ...data.slice(0, ROWS).map((value, i) =>
    element("tr", {}, element("th", { scope: "row" }, names?.[i] ?? String(i)),
      element("td", {}, text(value), element("meter", { min: 0, max: 1, value, "aria-label": names?.[i] ?? `${name} ${i}` })))));
}

function grid(shape, data, width, rows, columns, names) {
  const indices = [...Array(columns).keys()];
  const head = element("tr", {}, element("th", { scope: "col" }, shape.length > 2 ? "row, step" : "row"), ...indices.map((i) => element("th", { scope: "col" }, names?.[i] ?? String(i))));
  const line = (row) => element("tr", {}, element("th", { scope: "row" }, place(shape, row)), ...indices.map((i) => element("td", {}, text(data[row * width + i]))));
  return element("table", { className: "numbers" }, head, ...[...Array(rows).keys()].map(line));
}

/** Where a line of the table lies in the tensor, such as "0, 4". */
function place(shape, row) {
  const axes = [];
  for (const size of shape.slice(0, -1).reverse()) {
    axes.unshift(row % size);
    row = Math.floor(row / size);
  }
  return axes.join(", ") || "0";
}

const text = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value));
