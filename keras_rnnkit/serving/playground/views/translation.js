/** Translating: a source, the best targets, and where the model looked for each token. */

import { announce, problemBox } from "../parts/announce.js";
import { copyButton } from "../parts/copy.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { submitOnControlEnter } from "../parts/shortcut.js";
import { heatmap } from "../charts/heatmap.js";
import { hypothesisList } from "./hypotheses.js";

export class TranslationView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.chosen = null;
    this.source = element("textarea", { rows: 2, value: model.description.example ?? "" });
    this.targets = element("div", { className: "stack" });
    this.attention = element("div", {});
    this.results = element("div", { className: "view", hidden: true }, panel("Translations", this.targets), this.attention);
    this.node = element("div", { className: "view" }, this.form(), this.results);
  }

  form() {
    const problem = problemBox();
    const translate = element("button", { type: "submit", className: "primary" }, "Translate ", element("kbd", {}, "Ctrl+Enter"));
    const stop = element("button", { type: "button" }, "Stop");
    this.runner = new Runner(problem, [translate], stop);
    const buttons = element("div", { className: "row" }, translate, stop);
    const form = element("form", { className: "panel" }, field("Source", this.source), buttons, problem.node);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.runner.run((signal) => this.translate(signal));
    });
    submitOnControlEnter(form);
    return form;
  }

  async translate(signal) {
    this.results.hidden = true;
    const hypotheses = await this.model.translate(this.source.value.trim(), { signal });
    const copy = element("div", { className: "row" }, copyButton(() => this.chosen.text, "Copy translation"));
    this.targets.replaceChildren(hypothesisList(hypotheses, (hypothesis) => this.choose(hypothesis)), copy);
    this.choose(hypotheses[0]);
    this.results.hidden = false;
    announce(`${hypotheses.length} translations. The best: ${hypotheses[0].text}`);
  }

  choose(hypothesis) {
    this.chosen = hypothesis;
    const { attention } = hypothesis;
    this.attention.replaceChildren(attention?.target.length ? attentionPanel(attention) : noAttention());
  }

  stop() {
    this.runner.stop();
  }
}

function attentionPanel(attention) {
  const hint = "Point at a cell, or go to one with the arrow keys, to read its value.";
  const readout = element("p", { className: "readout", "aria-live": "polite" }, hint);
  const read = (sentence, value) => readout.replaceChildren(sentence, element("b", {}, value));
  return panel(
    "Attention",
    element(
      "p", { className: "quiet" },
      "Each row is a token of the translation. The stronger the colour of a cell, the more the model looked at that token of the source.",
    ),
    element("div", { className: "scroll" }, heatmap(attention, read)),
    readout,
  );
}

function noAttention() {
  return element(
    "p", { className: "quiet" },
    "There is no attention to show for this translation: the model has none, or the texts are too long to send that of each.",
  );
}
