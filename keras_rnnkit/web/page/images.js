/** Images in models that have none inside: patches that a model asks for, and pixels that it draws one by one. */

import { argmax } from "../runtime/strategies.js";

/**
 * Look at an image, first at its middle and then where the model wants to.
 *
 * @param {import("../runtime/bundle.js").Bundle} bundle
 * @param {{shape: number[], data: ArrayLike<number>}} image grey, from 0 to 255
 * @param {number} count of glimpses
 * @returns {Promise<{places: number[], labels: number[][], side: number}>} side: places in a row of the grid
 */
export async function glimpsed(bundle, { shape: [height, width], data }, count) {
  const stream = await bundle.stream();
  const { patches: [, , pixels] } = stream.graph.shapes;
  const patch = Math.sqrt(pixels);
  const side = height / patch;
  const [places, labels] = [[], []];
  let place = Math.floor(side / 2) * (side + 1);
  for (let n = 0; n < Math.min(count, side * side); n++) {
    const [top, left] = [patch * Math.floor(place / side), patch * (place % side)];
    const own = Array.from({ length: pixels }, (_, i) => data[(top + Math.floor(i / patch)) * width + left + (i % patch)]);
    const { label, next } = await stream.push({ patches: [[own]], places: [[place]] });
    places.push(place);
    labels.push([...label.data]);
    const scores = next.data.slice();
    for (const seen of places) scores[seen] = -Infinity;
    place = argmax(scores);
  }
  return { places, labels, side };
}

/**
 * Draw an image of a label pixel by pixel, after the shades of its beginning.
 *
 * @param {import("../runtime/bundle.js").Bundle} bundle
 * @param {{label: number, labels: number, shades: number[], start: number, count: number, temperature: number, seed: number}} request
 *   start: the token before the first pixel. count: of all pixels.
 * @returns {Promise<number[]>} all shades
 */
export async function drawn(bundle, { label, labels, shades, start, count, temperature, seed }) {
  if (shades.length >= count) return shades.slice(0, count);
  const fixed = { label: [Array.from({ length: labels }, (_, i) => Number(i === label))] };
  const { tokens } = await bundle.generate([start, ...shades], { steps: count - shades.length, seed, temperature, fixed });
  return [...shades, ...tokens[0][0]];
}
