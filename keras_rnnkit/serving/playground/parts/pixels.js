/** Images as a model reads them. */

import { element } from "./dom.js";

const LARGEST = 299; // pixels of an edge, where the model leaves it free

/**
 * An image at the size that a model reads: its middle, as large as fits.
 * @param {CanvasImageSource & {width: number, height: number}} image
 * @param {(number | null)[]} shape [height, width, channels]
 */
export function resized(image, [rows, columns]) {
  const height = rows ?? Math.min(LARGEST, image.height);
  const width = columns ?? Math.min(LARGEST, image.width);
  const canvas = element("canvas", { width, height });
  const scale = Math.min(image.width / width, image.height / height);
  const [sourceWidth, sourceHeight] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = "#fff"; // behind what is transparent
  pen.fillRect(0, 0, width, height);
  const [left, top] = [(image.width - sourceWidth) / 2, (image.height - sourceHeight) / 2];
  pen.drawImage(image, left, top, sourceWidth, sourceHeight, 0, 0, width, height);
  return canvas;
}

/** @returns {import("../models/model.js").ImagePixels} the pixels of a canvas, in grey where a model has one channel */
export function pixelsOf(canvas, channels) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const count = canvas.width * canvas.height;
  const pixels = new Uint8ClampedArray(count * channels);
  for (let i = 0; i < count; i += 1) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) pixels[i] = 0.299 * red + 0.587 * green + 0.114 * blue;
    else pixels.set([red, green, blue], 3 * i);
  }
  return { shape: [canvas.height, canvas.width, channels], data: pixels };
}

/** The image in a file; an error if it holds none. */
export async function imageOf(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`The file “${file.name}” is no image that this browser can read. Choose a PNG, JPEG or WebP.`);
  }
}
