/** The words of a caption; the one that is pressed or pointed at shows where the model looked for it. */

import { element } from "../parts/dom.js";
import { placeText } from "../charts/attention_picture.js";

/**
 * @param {import("../models/model.js").Hypothesis} hypothesis
 * @param {HTMLCanvasElement} image as the model reads it
 * @param {{show: (image: HTMLCanvasElement, weights?: number[] | null) => void}} picture
 */
export function captionWords({ text, attention }, image, picture) {
  if (!attention?.target.length) {
    const sentence = element("p", { className: "caption" }, text);
    return element("div", {}, sentence, element("p", { className: "quiet" }, "This model has no attention to show."));
  }
  const readout = element("p", { className: "readout", "aria-live": "polite" }, "Choose a word to see where the model looked.");
  const buttons = attention.target.map((word, i) =>
    element(
      "button",
      { type: "button", className: "chip", "aria-pressed": "false", onclick: () => show(i), onpointerenter: () => show(i) },
      word,
    ));
  const whole = element("button", { type: "button", className: "chip", onclick: () => show(-1) }, "Whole image");

  function show(index) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    const weights = attention.weights[index] ?? null;
    picture.show(image, weights);
    readout.textContent = weights ? `“${attention.target[index]}” looked mostly at the ${placeText(weights, image)}.` : "The whole image.";
  }

  const chips = element("div", { className: "chips", role: "group", "aria-label": "Words of the caption" }, ...buttons, whole);
  return element("div", { className: "view" }, chips, readout);
}
