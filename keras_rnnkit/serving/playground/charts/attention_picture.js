/** An image with light where a model looked. */

import { element } from "../parts/dom.js";

const SIZE = 416;

/** A canvas on which `show` draws an image, and the attention of one word if there is any. */
export function attentionPicture() {
  const canvas = element("canvas", { className: "picture", width: SIZE, height: SIZE, role: "img", "aria-label": "The image" });
  const pen = canvas.getContext("2d");

  /**
   * @param {HTMLCanvasElement} image as the model reads it
   * @param {number[] | null} weights one for each place of the grid, row by row
   */
  function show(image, weights = null) {
    canvas.height = Math.round((SIZE * image.height) / image.width);
    pen.imageSmoothingEnabled = image.width > 128;
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (!weights) return;
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(shade(weights, image), 0, 0, canvas.width, canvas.height);
  }

  return { canvas, show };
}

/** Rows and columns of a grid with so many places over an image of this form. */
export function gridOf(count, image) {
  const rows = Math.max(1, Math.round(Math.sqrt((count * image.height) / image.width)));
  return count % rows ? [1, count] : [rows, count / rows];
}

/** Darkness that leaves free where the weights are large. */
function shade(weights, image) {
  const [rows, columns] = gridOf(weights.length, image);
  const largest = Math.max(...weights, 1e-9);
  const canvas = element("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(columns, rows);
  weights.forEach((weight, i) => (pixels.data[4 * i + 3] = Math.round(205 * (1 - weight / largest))));
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

/** In words where the largest weight is, and how much of all attention it has. */
export function placeText(weights, image) {
  const [rows, columns] = gridOf(weights.length, image);
  const best = weights.indexOf(Math.max(...weights));
  const third = (at, count, names) => names[Math.min(2, Math.floor((3 * at) / count))];
  const vertical = third(Math.floor(best / columns), rows, ["top", "middle", "bottom"]);
  const horizontal = third(best % columns, columns, ["left", "centre", "right"]);
  return `${vertical} ${horizontal} (weight ${weights[best].toFixed(2)} of 1)`;
}
