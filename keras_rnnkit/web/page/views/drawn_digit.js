/** A drawing as a model of small grey images reads it. */

import { pixelsOf } from "../parts/pixels.js";
import { element } from "../parts/dom.js";

/**
 * The drawing at the size of the model. Without `whole` it is first cut out and made as large as fits, as the digits that
 * such models are trained on are.
 *
 * @param {HTMLCanvasElement} canvas white on black
 * @param {number} size of the model's images
 * @returns {import("../models/model.js").ImagePixels}
 */
export function drawnPixels(canvas, size, whole = false) {
  const box = whole ? { left: 0, top: 0, width: canvas.width, height: canvas.height } : inked(canvas);
  const scale = size / Math.max(box.width, box.height);
  const small = element("canvas", { width: size, height: size });
  const pen = small.getContext("2d");
  Object.assign(pen, { imageSmoothingEnabled: true, imageSmoothingQuality: "high" });
  pen.fillRect(0, 0, size, size);
  const [width, height] = [box.width * scale, box.height * scale];
  pen.drawImage(canvas, box.left, box.top, box.width, box.height, (size - width) / 2, (size - height) / 2, width, height);
  return pixelsOf(small, 1);
}

/** The smallest box with all that is drawn. */
function inked(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [left, top, right, bottom] = [canvas.width, canvas.height, 0, 0];
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      if (data[4 * (y * canvas.width + x)] < 64) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x + 1), Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  return right > left ? { left, top, width: right - left, height: bottom - top } : { left: 0, top: 0, width: canvas.width, height: canvas.height };
}

/** Grey pixels on a canvas that is shown larger. `write` puts others there, and frames places of a grid in their order. */
export function pixelPicture(label, size) {
  const canvas = element("canvas", { width: size * SCALE, height: size * SCALE, className: "seen", role: "img", "aria-label": label });
  const pen = canvas.getContext("2d");
  function write(data, largest = 255) {
    for (let i = 0; i < size * size; i++) {
      const grey = Math.round((255 * data[i]) / largest);
      pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
      pen.fillRect((i % size) * SCALE, Math.floor(i / size) * SCALE, SCALE, SCALE);
    }
  }
  function frame(places, side) {
    const edge = (size * SCALE) / side;
    Object.assign(pen, { lineWidth: 3, strokeStyle: "#ffb066", fillStyle: "#ffb066", font: `bold ${Math.round(edge / 3)}px sans-serif` });
    places.forEach((place, n) => {
      const [x, y] = [(place % side) * edge, Math.floor(place / side) * edge];
      pen.strokeRect(x + 2, y + 2, edge - 4, edge - 4);
      pen.fillText(String(n + 1), x + 8, y + edge / 3 + 6);
    });
  }
  write(new Uint8Array(size * size));
  return { canvas, write, frame };
}

const SCALE = 36;
