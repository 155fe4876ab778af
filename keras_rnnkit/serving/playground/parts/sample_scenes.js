/** Images to try a captioner with: coloured shapes, as the pipeline `captioning` draws them to train on. */

import { element } from "./dom.js";

const COLOURS = {
  red: "rgb(214 40 40)", green: "rgb(46 160 67)", blue: "rgb(38 99 214)", yellow: "rgb(245 200 30)",
  purple: "rgb(140 60 190)", orange: "rgb(240 130 30)",
};

/** Each thing: colour, shape, place across and down, radius; all as shares of the image. */
const SCENES = [
  [["red", "circle", 1 / 2, 1 / 2, 0.15]],
  [["blue", "square", 1 / 6, 1 / 6, 0.15], ["yellow", "triangle", 5 / 6, 5 / 6, 0.15]],
  [["green", "diamond", 5 / 6, 1 / 6, 0.15], ["purple", "circle", 1 / 6, 5 / 6, 0.1]],
  [["orange", "triangle", 1 / 2, 1 / 6, 0.1], ["blue", "circle", 1 / 2, 5 / 6, 0.15]],
];

const OUTLINES = {
  square: [[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]],
  triangle: [[0, -1], [1, 0.8], [-1, 0.8]],
  diamond: [[0, -1], [0.75, 0], [0, 1], [-0.75, 0]],
};

/** A name for each scene, for people who do not see it. */
export const SCENE_NAMES = SCENES.map((things) => things.map(([colour, shape]) => `${colour} ${shape}`).join(" and "));

/** The scenes as canvases of this size. */
export function sampleScenes(size = 192) {
  return SCENES.map((things) => {
    const canvas = element("canvas", { width: size, height: size });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#f2f2f2";
    pen.fillRect(0, 0, size, size);
    for (const thing of things) draw(pen, size, thing);
    return canvas;
  });
}

/** @param {any[]} thing its colour, shape, place and radius, as parts of the size */
function draw(pen, size, thing) {
  const [colour, shape, x, y, radius] = thing;
  pen.fillStyle = COLOURS[colour];
  pen.beginPath();
  if (shape === "circle") pen.arc(x * size, y * size, radius * size, 0, 2 * Math.PI);
  else for (const [dx, dy] of OUTLINES[shape]) pen.lineTo((x + dx * radius) * size, (y + dy * radius) * size);
  pen.fill();
}
