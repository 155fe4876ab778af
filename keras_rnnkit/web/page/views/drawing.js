/** Images of a label, drawn pixel by pixel; what you draw above, the model continues below. */

import { labelName } from "../models/model.js";
import { announce, problemBox } from "../parts/announce.js";
import { element, field, numberInput, numberOf, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { sketchPad } from "../parts/sketch_pad.js";
import { drawnPixels, pixelPicture } from "./drawn_digit.js";

export class DrawingView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    const { size, labels } = model.description.image;
    this.pad = sketchPad({ label: "The beginning of an image, from the top", changed: () => this.draw() });
    this.label = element("select", { onchange: () => this.draw() }, ...Array.from({ length: labels }, (_, i) => new Option(labelName(model.description.labels, i), String(i))));
    this.temperature = numberInput(0.8, 0.05, 5, 0.05);
    this.temperature.addEventListener("input", () => this.draw());
    this.rows = element("input", { type: "range", min: 0, max: size - 1, value: size / 2, oninput: () => this.draw() });
    this.number = element("span", { className: "mono" });
    this.picture = pixelPicture("The image that the model made", size);
    this.seed = 0;
    this.remark = element("p", { className: "quiet" });
    this.node = element("div", { className: "view" }, this.form());
    this.draw();
  }

  form() {
    const problem = problemBox();
    const another = element("button", { type: "button", className: "primary", onclick: () => this.another() }, "Draw another");
    this.runner = new Runner(problem, []);
    const rows = element("label", { className: "field" }, element("span", {}, "Rows that are yours: ", this.number), this.rows);
    const fields = element("div", { className: "fields" }, field("Label", this.label), field("Temperature", this.temperature));
    return panel(
      "Draw the upper part, and the model draws the rest",
      element("div", { className: "split" }, element("div", { className: "stack" }, this.pad.node, rows), element("div", { className: "stack" }, this.picture.canvas, this.remark)),
      fields, element("div", { className: "row" }, another), problem.node,
    );
  }

  another() {
    this.seed += 1;
    return this.draw();
  }

  draw() {
    const { size, labels, levels } = this.model.description.image;
    const own = this.pad.isEmpty() ? 0 : this.rows.valueAsNumber;
    this.number.textContent = `${this.rows.value} of ${size}`;
    return this.runner.restart(async (signal) => {
      const { data } = drawnPixels(this.pad.canvas, size, true);
      const shades = Array.from(data.subarray(0, own * size), (grey) => Math.floor((grey * levels) / 256));
      const temperature = numberOf(this.temperature, "Temperature");
      const began = performance.now();
      const request = { label: Number(this.label.value), labels, shades, start: levels, count: size * size, temperature, seed: this.seed };
      this.picture.write(await this.model.draw(request, { signal }), levels - 1);
      const whose = own ? `The upper ${own} rows are yours.` : "All of it is the model's.";
      this.remark.textContent = `${whose} Drawn in ${Math.round(performance.now() - began)} ms.`;
      announce(`An image of label ${this.label.value}. ${whose}`);
    });
  }

  stop() {
    this.runner.stop();
  }
}
