/** Captions: an image, the best sentences, and where the model looked for each word. */

import { announce, problemBox } from "../parts/announce.js";
import { cameraBox } from "../parts/camera.js";
import { element, panel } from "../parts/dom.js";
import { imageOf, pixelsOf, resized } from "../parts/pixels.js";
import { Runner } from "../parts/run.js";
import { sketchPad } from "../parts/sketch_pad.js";
import { attentionPicture } from "../charts/attention_picture.js";
import { captionWords } from "./caption_words.js";
import { dropZone, sampleButtons } from "./image_choice.js";
import { hypothesisList } from "./hypotheses.js";

const COLOURS = ["red", "green", "blue", "orange", "purple"];

export class CaptionsView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.shape = model.description.source.shape;
    this.picture = attentionPicture();
    this.words = element("div", {});
    this.results = element("div", { className: "view" });
    this.caption = panel("Caption", element("div", { className: "split" }, this.picture.canvas, this.results));
    this.caption.hidden = true;
    this.node = element("div", { className: "view" }, this.choice(), this.caption);
  }

  choice() {
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    const samples = sampleButtons((canvas) => this.runner.restart((signal) => this.describe(canvas, signal)));
    const drop = dropZone((file) => {
      samples.release();
      this.runner.restart(async (signal) => this.describe(await imageOf(file), signal));
    });
    return panel("Image", samples.node, drop, ...(this.model.isLocal ? this.liveSources(samples, problem) : []), problem.node);
  }

  /** A camera and a drawing, whose pictures change faster than a server should be asked. */
  liveSources(samples, problem) {
    const see = (canvas) => {
      samples.release();
      return this.runner.restart((signal) => this.describe(canvas, signal));
    };
    this.camera = cameraBox(see, problem.show);
    const pad = sketchPad({ label: "A picture to describe", changed: () => see(pad.canvas), colours: COLOURS, ground: "#f2f2f2", width: 0.16 });
    const more = (title, node) => element("details", { className: "more" }, element("summary", {}, title), node);
    return [more("Draw a picture", pad.node), more("Use the camera", this.camera.node)];
  }

  async describe(image, signal) {
    this.input = resized(image, this.shape);
    this.caption.hidden = false;
    this.picture.show(this.input);
    this.results.replaceChildren(element("p", { className: "quiet" }, "Looking…"));
    const hypotheses = await this.model.translate(pixelsOf(this.input, this.shape[2] ?? 3), { signal });
    this.choose(hypotheses[0]);
    const list = hypothesisList(hypotheses, (hypothesis) => this.choose(hypothesis));
    this.results.replaceChildren(this.words, element("h3", {}, "Captions"), list);
    announce(`Caption: ${hypotheses[0].text}`);
  }

  choose(hypothesis) {
    this.picture.show(this.input);
    this.words.replaceChildren(captionWords(hypothesis, this.input, this.picture));
  }

  stop() {
    this.camera?.stop();
    this.runner.stop();
  }
}
