/** All models of the page as large cards, with what one can do with each here. */

import { addressOf } from "../parts/cards.js";
import { element } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { facts, purpose } from "../models/model.js";

const TRY = {
  text: "Let it write, and see a word completed while you type it.",
  translation: "Translate a text, and see where the model looked for each token.",
  captions: "Give it a picture, a drawing or your camera.",
  series: "Paste numbers, or draw a line and see the forecast run ahead of it.",
  glimpses: "Draw a digit, and see where the model looks.",
  drawing: "Draw the upper half of a digit, and let the model draw the rest.",
  frames: "Start your camera, or draw frames yourself.",
  reading: "Type a text, and see the judgement change with each word.",
  tensors: "Enter numbers, and read what it computes.",
};

export class Gallery {
  /** @param {import("../models/model.js").Model[]} models */
  constructor(models) {
    const bytes = models.reduce((sum, { description }) => sum + description.size, 0);
    this.node = element(
      "div", { className: "view" },
      element(
        "header", { className: "head" },
        element("h2", {}, "Models in your browser"),
        element("p", { className: "quiet" }, `${models.length} models with ${(bytes / 1e6).toFixed(1)} MB in all. Each is loaded when it is opened, and says how long that took.`),
      ),
      element("ul", { className: "gallery" }, ...models.map(galleryCard)),
    );
  }

  stop() {}
}

function galleryCard(model) {
  const { description } = model;
  return element(
    "li", {},
    element(
      "a", { className: "card large", href: addressOf(model) },
      icon(description.kind), element("strong", {}, description.name), element("small", {}, `${purpose(description)}.`),
      element("span", {}, TRY[description.kind] ?? TRY.tensors), element("small", {}, facts(description).filter((fact) => !fact.includes("→")).join(" · ")),
    ),
  );
}
