/** What a model says of every frame of a camera, or of a drawing while it is made. */

import { problemBox } from "../parts/announce.js";
import { cameraBox } from "../parts/camera.js";
import { element, panel } from "../parts/dom.js";
import { pixelsOf, resized } from "../parts/pixels.js";
import { Runner } from "../parts/run.js";
import { sketchPad } from "../parts/sketch_pad.js";
import { lastScores, scoreList } from "./score_list.js";

export class FramesView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.count = 0;
    /** @type {import("../models/model.js").Stream | null} */
    this.stream = null;
    this.scores = element("div", {}, element("p", { className: "quiet" }, "The labels appear here, with the first frame."));
    this.pace = element("p", { className: "quiet" });
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    const see = (picture) => this.runner.run((signal) => this.see(picture, signal));
    this.camera = cameraBox(see, problem.show);
    const drawn = () => this.runner.restart((signal) => this.see(pad.canvas, signal)); // the last stroke is never left out
    const pad = sketchPad({ label: "A drawing, of which every stroke is a frame", changed: drawn, colours: ["white", "red", "yellow", "aqua"] });
    const again = element("button", { type: "button", onclick: () => this.forget() }, "Forget the frames before");
    this.node = element(
      "div", { className: "view" },
      panel("Frames", this.camera.node, element("details", { className: "more" }, element("summary", {}, "Draw instead"), pad.node),
        element("div", { className: "row" }, again), problem.node),
      panel("Labels", this.scores, this.pace),
    );
  }

  async see(picture, signal) {
    const began = performance.now();
    const { shape } = this.model.description.image;
    const { data } = pixelsOf(resized(picture, shape), shape[2]);
    const [input] = this.model.description.inputs;
    this.stream ??= await this.model.stream();
    const [label] = await this.stream.push([{ name: input.name, datatype: input.datatype, shape: [1, 1, ...shape], data: [...data] }]);
    if (signal.aborted) return;
    this.count += 1;
    this.scores.replaceChildren(scoreList(lastScores(label), this.model.description.labels));
    this.pace.textContent = `Frame ${this.count}, in ${Math.round(performance.now() - began)} ms.`;
  }

  /** The model begins anew with the next frame. */
  forget() {
    this.stream?.close();
    Object.assign(this, { stream: null, count: 0 });
    this.scores.replaceChildren();
    this.pace.textContent = "";
  }

  stop() {
    this.camera.stop();
    this.runner.stop();
    this.forget();
  }
}
