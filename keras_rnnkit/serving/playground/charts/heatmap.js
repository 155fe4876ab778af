/** Attention as a table of colours, with values for the mouse, for touch and for the keyboard. */

import { element } from "../parts/dom.js";

/**
 * @param {import("../models/model.js").Attention} attention
 * @param {(sentence: string, value: string) => void} read told the value of the cell that is pointed at
 */
export function heatmap({ source, target, weights }, read) {
  const long = source.some((token) => [...token].length > 2);
  const columns = source.map((token) => element("th", { scope: "col", className: long ? "long" : "" }, visible(token)));
  const rows = target.map((token) => element("th", { scope: "row" }, visible(token)));
  const cells = weights.map((row, i) => row.map((weight, j) => cell(target[i], source[j], weight, i, j)));
  const body = cells.map((row, i) => element("tr", {}, rows[i], ...row));
  const table = element(
    "table",
    { className: "heatmap", role: "grid", "aria-label": "Attention: the source from left to right, the target downwards" },
    element("thead", {}, element("tr", {}, element("td", { "aria-hidden": "true" }), ...columns)),
    element("tbody", {}, ...body),
  );
  let current = null;

  function light(i, j) {
    for (const lit of table.querySelectorAll(".lit")) lit.classList.remove("lit");
    for (const node of [rows[i], columns[j], cells[i][j]]) node.classList.add("lit");
    if (current) current.tabIndex = -1;
    current = cells[i][j];
    current.tabIndex = 0;
    read(`“${visible(target[i])}” looked at “${visible(source[j])}” with a weight of `, weights[i][j].toFixed(3));
  }

  table.addEventListener("pointerover", (event) => at(event.target, light));
  table.addEventListener("click", (event) => at(event.target, light));
  table.addEventListener("focusin", (event) => at(event.target, light));
  table.addEventListener("keydown", (event) => move(event, cells));
  if (cells.length && cells[0].length) cells[0][0].tabIndex = 0;
  current = cells[0]?.[0] ?? null;
  return table;
}

/** A space can be seen. */
export const visible = (token) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎");

function cell(target, source, weight, i, j) {
  const node = element("td", {
    role: "gridcell", tabIndex: -1, "aria-label": `${visible(target)}, ${visible(source)}: ${weight.toFixed(3)}`,
  });
  Object.assign(node.dataset, { i, j });
  const share = Math.round(100 * Math.sqrt(Math.min(1, weight))); // so that small weights can be told apart
  node.style.backgroundColor = `color-mix(in srgb, var(--heat) ${share}%, var(--raised))`;
  return node;
}

function at(node, light) {
  if (node.dataset.i !== undefined) light(Number(node.dataset.i), Number(node.dataset.j));
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function move(event, cells) {
  const { i, j } = event.target.dataset;
  const step = STEPS[event.key];
  if (!step || i === undefined) return;
  event.preventDefault();
  cells[Number(i) + step[0]]?.[Number(j) + step[1]]?.focus();
}
