/** Tensors as text that people edit: a line for each step, an empty line between rows of the batch; or JSON. */

import { flatten, shapeOf } from "./arrays.js";

/**
 * The tensor that a text holds; an error with the name of the input if it does not fit.
 * @param {import("./model.js").TensorInfo} input
 * @param {string} text
 * @returns {import("./model.js").Tensor}
 */
export function tensorOf({ name, datatype, shape }, text) {
  const list = text.trim().startsWith("[") ? parsedJson(name, text) : parsedLines(text, shape.length);
  const received = within(name, () => shapeOf(list));
  const fits = received.length === shape.length && shape.every((size, axis) => size < 0 || size === received[axis]);
  if (!fits || received.includes(0)) {
    throw new Error(`“${name}” must have the shape [${shape.map((size) => (size < 0 ? "any" : size)).join(", ")}]. Received: [${received.join(", ")}].`);
  }
  const data = flatten(list).map((cell) => valueOf(name, datatype, cell));
  return { name, datatype, shape: received, data };
}

function parsedJson(name, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`“${name}” begins with a bracket, but is no JSON: ${error.message}.`);
  }
}

/** Lists as deep as the tensor has axes. */
function parsedLines(text, axes) {
  const cells = (line) => line.split(/[\s,;]+/).filter(Boolean);
  const block = (lines) => lines.split("\n").filter((line) => line.trim()).map(cells);
  if (axes <= 1) return cells(text);
  if (axes === 2) return block(text);
  return text.trim().split(/\n\s*\n/).map(block);
}

function valueOf(name, datatype, cell) {
  if (datatype === "BYTES") return String(cell);
  if (datatype === "BOOL") {
    if (!["true", "false", "1", "0"].includes(String(cell))) throw new Error(`“${name}” must hold true or false. Received: ${cell}.`);
    return cell === true || cell === "true" || cell === "1" || cell === 1;
  }
  const value = Number(cell);
  const whole = !datatype.startsWith("FP");
  if (!Number.isFinite(value) || (whole && !Number.isInteger(value))) {
    throw new Error(`“${name}” must hold ${whole ? "whole numbers" : "numbers"}. Received: ${String(cell).slice(0, 40)}.`);
  }
  return value;
}

function within(name, work) {
  try {
    return work();
  } catch (error) {
    throw new Error(`“${name}”: ${error.message}`);
  }
}

const STEPS = 6; // of an example, where the model takes any number

/** A text that fits an input: one row, gentle waves. */
export function exampleOf({ datatype, shape }) {
  const sizes = shape.map((size, axis) => (size > 0 ? size : axis === 0 ? 1 : STEPS));
  const value = (i) => {
    if (datatype === "BOOL") return "true";
    if (!datatype.startsWith("FP")) return String(1 + (i % 3));
    return Math.sin(i / 2).toFixed(2);
  };
  if (sizes.length > 3) return JSON.stringify(filled(sizes));
  const width = sizes.length > 1 ? sizes.at(-1) : sizes[0];
  const count = sizes.length > 2 ? sizes[1] : 1;
  const line = (step) => Array.from({ length: width }, (_, i) => value(step * width + i)).join(", ");
  return Array.from({ length: count }, (_, step) => line(step)).join("\n");
}

/** @returns {any[]} nested lists of these sizes @param {number[]} sizes */
const filled = ([size, ...inner]) => Array.from({ length: size }, () => (inner.length ? filled(inner) : 0.5));
