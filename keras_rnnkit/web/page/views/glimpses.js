/** A drawn digit, and what a model says of it after each of a few glimpses. */

import { announce, problemBox } from "../parts/announce.js";
import { element, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { sketchPad } from "../parts/sketch_pad.js";
import { drawnPixels, pixelPicture } from "./drawn_digit.js";
import { percent, ranked, scoreList } from "./score_list.js";

const EMPTY = "What the model reads appears here.";

export class GlimpsesView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    const { size } = model.description.image;
    this.pad = sketchPad({ label: "A digit to recognise", changed: () => this.look(), width: 0.13 });
    this.count = element("input", { type: "range", min: 1, max: 16, value: 6, oninput: () => this.look() });
    this.number = element("span", { className: "mono" }, "6");
    this.picture = pixelPicture("The digit as the model reads it, with its glimpses in their order", size);
    this.answer = element("p", { className: "caption" }, EMPTY);
    this.scores = element("div", {});
    this.path = element("p", { className: "quiet" });
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    const glimpses = element("label", { className: "field" }, element("span", {}, "Glimpses: ", this.number), this.count);
    this.node = element(
      "div", { className: "view" },
      panel("Draw a digit", element("div", { className: "split" }, element("div", { className: "stack" }, this.pad.node, glimpses),
        element("div", { className: "stack" }, this.picture.canvas, this.answer, this.scores, this.path)), problem.node),
    );
  }

  look() {
    this.number.textContent = this.count.value;
    return this.runner.restart(async (signal) => {
      if (this.pad.isEmpty()) return this.forget();
      const image = drawnPixels(this.pad.canvas, this.model.description.image.size);
      return this.show(image, await this.model.glimpses(image, this.count.valueAsNumber, { signal }));
    });
  }

  show(image, { places, labels, side }) {
    const names = this.model.description.labels;
    const best = labels.map((scores) => names?.[ranked(scores)[0]] ?? String(ranked(scores)[0]));
    const last = names ? `“${best.at(-1)}”` : `label ${best.at(-1)}`;
    this.picture.write(image.data);
    this.picture.frame(places, side);
    this.answer.textContent = `This is ${last}, with a probability of ${percent(Math.max(...labels.at(-1)))}.`;
    this.path.textContent = `The likeliest label after each glimpse: ${best.join(", ")}.`;
    this.scores.replaceChildren(scoreList(labels.at(-1), names));
    announce(this.answer.textContent);
  }

  forget() {
    this.picture.write(new Uint8Array(this.model.description.image.size ** 2));
    this.answer.textContent = EMPTY;
    this.path.textContent = "";
    this.scores.replaceChildren();
  }

  stop() {
    this.runner.stop();
  }
}
