/** Writing: a prompt, how to choose tokens, the text as it comes, and what the units do over it. */

import { announce, problemBox } from "../parts/announce.js";
import { copyButton } from "../parts/copy.js";
import { element, field } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { submitOnControlEnter } from "../parts/shortcut.js";
import { CompletionPanel } from "./completion_panel.js";
import { hypothesisList } from "./hypotheses.js";
import { samplingFields } from "./sampling.js";
import { UnitsPanel } from "./units.js";

export class TextView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.prompt = element("textarea", { rows: 2, spellcheck: false, value: model.description.example ?? "" });
    this.sampling = samplingFields();
    this.output = element("div", { className: "text", tabIndex: 0, role: "group", "aria-label": "The text" });
    this.output.dataset.empty = "The text appears here.";
    this.pace = element("p", { className: "quiet" });
    this.others = element("div", { hidden: true });
    this.units = new UnitsPanel(model, () => this.output.textContent || this.prompt.value);
    this.completion = model.completions && model.description.inputs.length === 1 ? new CompletionPanel(model) : null;
    const units = model.description.states.length ? this.units.node : null;
    this.node = element("div", { className: "view" }, this.form(), units, this.completion?.node ?? null);
  }

  form() {
    const problem = problemBox();
    const write = element("button", { type: "submit", className: "primary" }, "Write ", element("kbd", {}, "Ctrl+Enter"));
    const stop = element("button", { type: "button" }, "Stop");
    this.runner = new Runner(problem, [write], stop);
    const form = element(
      "form", { className: "panel" },
      field("Prompt", this.prompt), this.sampling.node,
      element("div", { className: "row" }, write, stop, copyButton(() => this.output.textContent, "Copy text")),
      problem.node, this.output, this.pace, this.others,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.runner.run((signal) => this.write(signal));
    });
    submitOnControlEnter(form);
    return form;
  }

  async write(signal) {
    const { beam, ...options } = this.sampling.options();
    this.output.replaceChildren(element("span", { className: "prompt" }, this.prompt.value));
    this.others.hidden = true;
    this.pace.textContent = "";
    this.output.classList.add("waiting");
    announce("Writing.");
    try {
      if (beam > 1) await this.search(signal, { beam, max_tokens: options.max_tokens });
      else await this.sample(signal, options);
    } finally {
      this.output.classList.remove("waiting");
      this.units.clear();
    }
    announce(`Done. ${this.pace.textContent}`);
  }

  /** The best texts of a beam, one of which is shown. */
  async search(signal, options) {
    const hypotheses = await this.model.generate(this.prompt.value, { signal, ...options });
    const written = element("span", {}, hypotheses[0].text);
    this.output.append(written);
    this.pace.textContent = `The best of ${hypotheses.length} hypotheses, log-probability ${hypotheses[0].score.toFixed(2)}`;
    const choose = (hypothesis) => {
      written.textContent = hypothesis.text;
      this.units.clear();
    };
    this.others.replaceChildren(hypothesisList(hypotheses, choose));
    this.others.hidden = false;
  }

  /** A text token by token, as it comes. */
  async sample(signal, options) {
    const began = performance.now();
    let [count, first] = [0, 0];
    for await (const piece of this.model.tokens(this.prompt.value, { signal, ...options })) {
      this.output.append(piece);
      count += 1;
      first ||= performance.now() - began;
      const rate = Math.round((count * 1000) / (performance.now() - began)).toLocaleString("en");
      this.pace.textContent = `${count} tokens, ${rate} per second, the first after ${Math.round(first)} ms`;
      this.output.scrollTop = this.output.scrollHeight;
    }
  }

  stop() {
    this.runner.stop();
    this.units.stop();
    this.completion?.stop();
  }
}
