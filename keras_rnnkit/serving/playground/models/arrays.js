/** Lists of lists, and the same numbers in one list with a shape. */

/** The shape of a list of lists; an error if its rows differ in length. */
export function shapeOf(list) {
  if (!Array.isArray(list)) return [];
  const inner = list.map(shapeOf);
  const odd = inner.find((shape) => String(shape) !== String(inner[0]));
  if (odd) throw new Error(`All rows must have the same length. Received: [${inner[0]}] and [${odd}].`);
  return [list.length, ...(inner[0] ?? [])];
}

export const flatten = (list) => (Array.isArray(list) ? list.flat(Infinity) : [list]);

/** The list of lists with this shape. */
export function nested(data, shape) {
  if (!shape.length) return data[0];
  const [count, ...inner] = shape;
  const width = inner.reduce((product, size) => product * size, 1);
  return Array.from({ length: count }, (_, i) => nested(data.slice(i * width, (i + 1) * width), inner));
}
