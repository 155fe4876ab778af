/** Translating: a source, the best targets, and where the model looked for each token. */

import { announce, problemBox } from "../parts/announce.js";
import { copyButton } from "../parts/copy.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { heatmap } from "../charts/heatmap.js";
import { hypothesisList } from "./hypotheses.js";

/** @param {import("../models/model.js").Model} model */
export function translationView(model) {
  const problem = problemBox();
  const source = element("textarea", { rows: 2, value: model.description.example ?? "" });
  const translate = element("button", { type: "submit", className: "primary" }, "Translate ", element("kbd", {}, "Ctrl+Enter"));
  const stop = element("button", { type: "button" }, "Stop");
  const targets = element("div", { className: "stack" });
  const attention = element("div", {});
  const results = element("div", { className: "view", hidden: true }, panel("Translations", targets), attention);
  const runner = new Runner(problem, [translate], stop);
  let chosen = "";
  const copy = copyButton(() => chosen, "Copy translation");

  const form = element(
    "form",
    { className: "panel", onsubmit: (event) => (event.preventDefault(), runner.run(start)) },
    field("Source", source),
    element("div", { className: "row" }, translate, stop),
    problem.node,
  );
  source.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  async function start(signal) {
    results.hidden = true;
    const hypotheses = await model.translate(source.value.trim(), { signal });
    targets.replaceChildren(hypothesisList(hypotheses, choose), element("div", { className: "row" }, copy));
    choose(hypotheses[0]);
    results.hidden = false;
    announce(`${hypotheses.length} translations. The best: ${hypotheses[0].text}`);
  }

  function choose(hypothesis) {
    chosen = hypothesis.text;
    attention.replaceChildren(hypothesis.attention?.target.length ? attentionPanel(hypothesis.attention) : noAttention());
  }

  return { node: element("div", { className: "view" }, form, results), stop: () => runner.stop() };
}

function attentionPanel(attention) {
  const readout = element("p", { className: "readout", "aria-live": "polite" }, "Point at a cell, or go to one with the arrow keys, to read its value.");
  const read = ([before, value]) => readout.replaceChildren(before, element("b", {}, value));
  return panel(
    "Attention",
    element("p", { className: "quiet" }, "Each row is a token of the translation. The stronger the colour of a cell, the more the model looked at that token of the source."),
    element("div", { className: "scroll" }, heatmap(attention, read)),
    readout,
  );
}

function noAttention() {
  return element("p", { className: "quiet" }, "There is no attention to show for this translation: the model has none, or the text is too long for that of all translations.");
}
