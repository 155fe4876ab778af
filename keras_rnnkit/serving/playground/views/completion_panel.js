/** Completion as you type: the likeliest ends of the word, of a model that answers faster than a key is pressed. */

import { announce, problemBox } from "../parts/announce.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";

const COUNT = 3;
const PAUSE = 700; // milliseconds without a key, after which a screen reader says the completions

const shareText = (share) => (share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`);

export class CompletionPanel {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.completions = [];
    this.timer = 0;
    this.text = element("textarea", { rows: 3, spellcheck: false, autocomplete: "off", value: model.description.example ?? "" });
    this.ghost = element("p", { className: "text ghost", "aria-hidden": "true" });
    this.choices = element("div", { className: "chips", role: "group", "aria-label": "Completions" });
    this.pace = element("p", { className: "quiet" });
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    this.text.addEventListener("input", () => this.complete());
    this.text.addEventListener("keydown", (event) => this.key(event));
    const remark = "The right arrow at the end of the text takes the first completion.";
    this.node = panel("Completion as you type", field("Your text", this.text, remark), this.choices, this.ghost, this.pace, problem.node);
    this.complete();
  }

  complete() {
    clearTimeout(this.timer);
    return this.runner.restart(async (signal) => {
      const [text, began, isFirst] = [this.text.value, performance.now(), !this.completions.length];
      this.show(text, text ? await this.model.completions(text, COUNT, { signal }) : []);
      this.pace.textContent = isFirst ? "" : `Completed in ${(performance.now() - began).toFixed(1)} ms.`; // the first one loads the model
      this.timer = setTimeout(() => this.tell(), PAUSE);
    });
  }

  show(text, completions) {
    this.completions = completions;
    this.ghost.replaceChildren(element("span", { className: "prompt" }, text), completions[0]?.text ?? "");
    this.choices.replaceChildren(...completions.map((completion) => this.chip(completion)));
  }

  chip(completion) {
    const share = completion.probability === null ? null : element("span", { className: "share" }, ` ${shareText(completion.probability)}`);
    const shown = completion.text.replace(/^ /, "").replaceAll("\n", "⏎").replaceAll(" ", "␣") || "␣";
    return element("button", { type: "button", className: "chip", onclick: () => this.take(completion) }, shown, share);
  }

  key(event) {
    const { selectionStart, selectionEnd, value } = this.text;
    const atEnd = selectionStart === value.length && selectionEnd === value.length;
    if (event.key !== "ArrowRight" || !atEnd || !this.completions.length) return;
    event.preventDefault();
    this.take(this.completions[0]);
  }

  take({ text }) {
    this.text.value += text;
    this.text.focus();
    this.complete();
  }

  tell() {
    if (document.activeElement === this.text && this.completions.length) {
      announce(`Completions: ${this.completions.map(({ text }) => text.trim() || "space").join(", ")}.`);
    }
  }

  stop() {
    clearTimeout(this.timer);
    this.runner.stop();
  }
}
