/**
 * Arrays as onnxruntime takes them: `{type, dims, data}` with a typed array, row by row.
 *
 * @typedef {{type: string, dims: number[], data: any}} Tensor
 */

import { InputError, shown } from "./errors.js";

/** For each dtype the typed array that holds it. */
export const KINDS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};
const LIMITS = { int8: [-(2 ** 7), 2 ** 7 - 1], int16: [-(2 ** 15), 2 ** 15 - 1], int32: [-(2 ** 31), 2 ** 31 - 1] };
const BIG_LIMITS = { int64: [-(2n ** 63n), 2n ** 63n - 1n], uint64: [0n, 2n ** 64n - 1n] };
const UNSIGNED = { uint8: 2 ** 8 - 1, uint16: 2 ** 16 - 1, uint32: 2 ** 32 - 1 };

/** @returns {boolean} whether a value has places: a list, or a typed array @param {any} value */
const isList = (value) => Array.isArray(value) || ArrayBuffer.isView(value);
const isTensor = (value) => Array.isArray(value?.dims) && value.data?.length !== undefined;
export const sizeOf = (dims) => dims.reduce((product, length) => product * length, 1);

/**
 * A value as a tensor of a dtype: nested lists of numbers, a typed array of one axis, or a tensor. An InputError where a
 * number would change by it.
 *
 * @returns {Tensor}
 */
export function asKind(name, value, kind) {
  if (isTensor(value) && value.type === kind) return { type: kind, dims: [...value.dims], data: value.data };
  const dims = shapeOf(name, value, kind);
  const data = new KINDS[kind](sizeOf(dims));
  let place = 0;
  const fill = (part) => {
    if (isList(part)) for (const item of part) fill(item);
    else data[place++] = checkedNumber(name, part, kind);
  };
  fill(isTensor(value) ? value.data : value);
  return { type: kind, dims, data };
}

function shapeOf(name, value, kind) {
  if (isTensor(value)) return [...value.dims];
  const dims = [];
  for (let part = value; isList(part); part = part[0]) dims.push(part.length);
  const fits = (part, axis) => {
    if (axis === dims.length) return !isList(part);
    return isList(part) && part.length === dims[axis] && (axis === dims.length - 1 || [...part].every((item) => fits(item, axis + 1)));
  };
  if (!fits(value, 0)) {
    throw new InputError(`The input ${shown(name)} must be an array of ${kind}. Received: rows of different lengths.`);
  }
  return dims;
}

function checkedNumber(name, value, kind) {
  const refuse = (what) => {
    throw new InputError(`The input ${shown(name)} must be an array of ${kind}. Received: ${what}.`);
  };
  if (kind === "bool") return typeof value === "boolean" ? Number(value) : refuse(shown(value));
  if (typeof value !== "number" && typeof value !== "bigint") refuse(shown(value));
  if (kind.startsWith("float")) {
    const number = Number(value);
    if (kind === "float32" && Number.isFinite(number) && !Number.isFinite(Math.fround(number))) refuse(`${number}, which ${kind} cannot hold`);
    return number;
  }
  if (typeof value === "number" && !Number.isInteger(value)) refuse(shown(value));
  if (kind in BIG_LIMITS) {
    const [least, largest] = BIG_LIMITS[kind];
    return BigInt(value) < least || BigInt(value) > largest ? refuse(`${value}, which ${kind} cannot hold`) : BigInt(value);
  }
  const [least, largest] = LIMITS[kind] ?? [0, UNSIGNED[kind]];
  return value < least || value > largest ? refuse(`${value}, which ${kind} cannot hold`) : Number(value);
}

/** InputError unless a tensor has that shape: numbers, and texts for axes of any length but 0. */
export function checkShape(name, tensor, shape) {
  const fits =
    tensor.dims.length === shape.length && shape.every((wanted, axis) => typeof wanted !== "number" || tensor.dims[axis] === wanted);
  if (!fits || tensor.dims.includes(0)) {
    const axes = shape.map((wanted) => wanted ?? "any").join(", ");
    throw new InputError(
      `The input ${shown(name)} must have the shape [${axes}], none of it empty. Received: [${tensor.dims.join(", ")}].`,
    );
  }
}

/** InputError unless all tokens are among the `count` that the model knows. */
export function checkTokens(name, tensor, count) {
  let [least, largest] = [Infinity, -Infinity];
  for (const token of tensor.data) [least, largest] = [Math.min(least, Number(token)), Math.max(largest, Number(token))];
  if (least < 0 || largest >= count) {
    throw new InputError(`The tokens of the input ${shown(name)} must be 0 to ${count - 1}. Received: ${least} to ${largest}.`);
  }
}

/** InputError unless axes of one name are equally long in all inputs, the rows of the batch above all. */
export function checkAxes(tensors, shapes) {
  const lengths = new Map();
  for (const [name, tensor] of Object.entries(tensors)) {
    shapes[name].forEach((axis, place) => {
      if (typeof axis !== "string") return;
      const key = `${place === 0}/${axis}`;
      if (!lengths.has(key)) lengths.set(key, { rows: place === 0, axis, byInput: {} });
      lengths.get(key).byInput[name] = tensor.dims[place];
    });
  }
  for (const { rows, axis, byInput } of lengths.values()) {
    if (new Set(Object.values(byInput)).size > 1) {
      const what = rows ? "have the same number of rows" : `be equally long in the axis ${shown(axis)}`;
      const found = Object.entries(byInput).map(([name, length]) => `${shown(name)}: ${length}`);
      throw new InputError(`All inputs must ${what}. Received: {${found.join(", ")}}.`);
    }
  }
}

/** A tensor filled with a number, or with the numbers of one row again and again. */
export function filled(type, dims, start) {
  const data = new KINDS[type](sizeOf(dims));
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const row = [start].flat(Infinity).map((number) => (big ? BigInt(number) : Number(number)));
  for (let i = 0; i < data.length; i++) data[i] = row[i % row.length];
  return { type, dims, data };
}

/** The rows of a tensor with these numbers, in this order. */
export function takeRows(tensor, rows) {
  const size = sizeOf(tensor.dims.slice(1));
  const data = new tensor.data.constructor(rows.length * size);
  rows.forEach((row, place) => data.set(tensor.data.subarray(row * size, (row + 1) * size), place * size));
  return { type: tensor.type, dims: [rows.length, ...tensor.dims.slice(1)], data };
}

/** Several tensors, one below the other. */
export function stackRows(tensors) {
  const data = new tensors[0].data.constructor(tensors.reduce((sum, tensor) => sum + tensor.data.length, 0));
  let place = 0;
  for (const tensor of tensors) {
    data.set(tensor.data, place);
    place += tensor.data.length;
  }
  const rows = tensors.reduce((sum, tensor) => sum + tensor.dims[0], 0);
  return { type: tensors[0].type, dims: [rows, ...tensors[0].dims.slice(1)], data };
}

/** Each row `count` times. */
export const repeatedRows = (tensor, count) =>
  takeRows(tensor, Array.from({ length: tensor.dims[0] * count }, (_, i) => Math.floor(i / count)));

/** Token ids as a tensor [rows, steps]. */
export function tokenTensor(kind, rows) {
  const dims = [rows.length, rows[0].length];
  const data = new KINDS[kind](sizeOf(dims));
  const big = kind === "int64" || kind === "uint64";
  rows.flat().forEach((token, place) => (data[place] = big ? BigInt(token) : token));
  return { type: kind, dims, data };
}
