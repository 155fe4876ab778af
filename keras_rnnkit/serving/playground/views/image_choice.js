/** Where an image comes from: samples, a file that is chosen, or one that is dropped. */

import { element, field } from "../parts/dom.js";
import { SCENE_NAMES, sampleScenes } from "../parts/sample_scenes.js";

/**
 * Sample images as buttons. `release`: none of them is shown any more.
 * @param {(canvas: HTMLCanvasElement) => void} choose
 */
export function sampleButtons(choose) {
  const canvases = sampleScenes();
  const buttons = canvases.map((canvas, i) =>
    element(
      "button",
      { type: "button", className: "sample", "aria-label": `Sample image: ${SCENE_NAMES[i]}`, onclick: () => press(i) },
      canvas,
    ));
  const mark = (index) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));

  function press(index) {
    mark(index);
    choose(canvases[index]);
  }

  mark(-1);
  const node = element("div", { className: "samples", role: "group", "aria-label": "Sample images" }, ...buttons);
  return { node, release: () => mark(-1) };
}

/** @param {(file: File) => void} choose */
export function dropZone(choose) {
  const input = element("input", { type: "file", accept: "image/*", onchange: () => input.files[0] && choose(input.files[0]) });
  const node = element("div", { className: "drop" }, element("p", {}, "Drop an image here, or choose a file."), field("Image file", input));
  const over = (is) => (event) => {
    event.preventDefault();
    node.classList.toggle("over", is);
  };
  node.addEventListener("dragover", over(true));
  node.addEventListener("dragleave", over(false));
  node.addEventListener("drop", over(false));
  node.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && choose(dataTransfer.files[0]));
  return node;
}
