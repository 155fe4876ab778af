/** A text that is judged while it is typed. */

import { labelName } from "../models/model.js";
import { announce, problemBox } from "../parts/announce.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { lastScores, percent, ranked, scoreList } from "./score_list.js";

const PAUSE = 700; // milliseconds without a key, after which a screen reader says the label

export class ReadingView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.timer = 0;
    this.text = element("textarea", { rows: 4, value: model.description.example ?? "", oninput: () => this.read() });
    this.answer = element("p", { className: "caption" });
    this.scores = element("div", {});
    this.pace = element("p", { className: "quiet" });
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    this.node = element("div", { className: "view" }, panel("Your text", field("A text to judge", this.text), problem.node), panel("Labels", this.answer, this.scores, this.pace));
    this.read();
  }

  read() {
    clearTimeout(this.timer);
    return this.runner.restart(async (signal) => {
      const [text, began] = [this.text.value.trim(), performance.now()];
      if (!text) return this.show("Type a text.", null);
      const [output] = await this.model.read(text, { signal });
      const scores = lastScores(output);
      this.show(`${labelName(this.model.description.labels, ranked(scores)[0])}, with a probability of ${percent(Math.max(...scores))}.`, scores);
      this.pace.textContent = `Read in ${(performance.now() - began).toFixed(1)} ms.`;
      this.timer = setTimeout(() => announce(this.answer.textContent), PAUSE);
    });
  }

  show(sentence, scores) {
    this.answer.textContent = sentence;
    this.scores.replaceChildren(...(scores ? [scoreList(scores, this.model.description.labels)] : []));
    this.pace.textContent = "";
  }

  stop() {
    clearTimeout(this.timer);
    this.runner.stop();
  }
}
