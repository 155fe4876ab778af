/** Writing: a prompt, how to choose tokens, the text as it comes, and what the units do over it. */

import { announce, problemBox } from "../parts/announce.js";
import { copyButton } from "../parts/copy.js";
import { element, field, numberInput, numberOf, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { hypothesisList } from "./hypotheses.js";
import { unitsPanel } from "./units.js";

/** @param {import("../models/model.js").Model} model */
export function textView(model) {
  const problem = problemBox();
  const prompt = element("textarea", { rows: 2, spellcheck: false, value: model.description.example ?? "" });
  const controls = samplingControls();
  const write = element("button", { type: "submit", className: "primary" }, "Write ", element("kbd", {}, "Ctrl+Enter"));
  const stop = element("button", { type: "button" }, "Stop");
  const output = element("div", { className: "text", tabIndex: 0, role: "group", "aria-label": "The text" });
  output.dataset.empty = "The text appears here.";
  const pace = element("p", { className: "quiet" });
  const others = element("div", { hidden: true });
  const units = unitsPanel(model, () => output.textContent || prompt.value);
  const runner = new Runner(problem, [write], stop);

  const form = element(
    "form",
    { className: "panel", onsubmit: (event) => (event.preventDefault(), runner.run(start)) },
    field("Prompt", prompt),
    controls.node,
    element("div", { className: "row" }, write, stop, copyButton(() => output.textContent, "Copy text")),
    problem.node, output, pace, others,
  );
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  async function start(signal) {
    const { beam, ...options } = controls.options();
    output.replaceChildren(element("span", { className: "prompt" }, prompt.value));
    others.hidden = true;
    pace.textContent = "";
    output.classList.add("waiting");
    announce("Writing.");
    try {
      if (beam > 1) await search(signal, { beam, max_tokens: options.max_tokens });
      else await stream(signal, options);
    } finally {
      output.classList.remove("waiting");
      units.changed();
    }
    announce(`Done. ${pace.textContent}`);
  }

  async function search(signal, options) {
    const hypotheses = await model.generate(prompt.value, { signal, ...options });
    const written = element("span", {}, hypotheses[0].text);
    output.append(written);
    pace.textContent = `The best of ${hypotheses.length} hypotheses, log-probability ${hypotheses[0].score.toFixed(2)}`;
    const choose = (hypothesis) => {
      written.textContent = hypothesis.text;
      units.changed();
    };
    others.replaceChildren(hypothesisList(hypotheses, choose));
    others.hidden = false;
  }

  async function stream(signal, options) {
    const began = performance.now();
    let [count, first] = [0, 0];
    for await (const piece of model.tokens(prompt.value, { signal, ...options })) {
      output.append(piece);
      count += 1;
      first ||= performance.now() - began;
      const rate = (count * 1000) / (performance.now() - began);
      pace.textContent = `${count} tokens, ${Math.round(rate).toLocaleString("en")} per second, the first after ${Math.round(first)} ms`;
      output.scrollTop = output.scrollHeight;
    }
  }

  return {
    node: element("div", { className: "view" }, form, model.description.states.length ? units.node : ""),
    stop() {
      runner.stop();
      units.stop();
    },
  };
}

/** Fields for how tokens are chosen. A beam searches, so it has no temperature. */
function samplingControls() {
  const inputs = {
    max_tokens: numberInput(200, 1, 2000),
    temperature: numberInput(0.8, 0, 5, 0.05),
    top_k: numberInput(0, 0, 1000),
    top_p: numberInput(1, 0.05, 1, 0.05),
    seed: numberInput(0, 0, 2 ** 31 - 1),
    beam: numberInput(1, 1, 16),
  };
  const labels = { max_tokens: "Tokens", temperature: "Temperature", top_k: "Top-k", top_p: "Top-p", seed: "Seed", beam: "Beam" };
  const remarks = { top_k: "0 for all", top_p: "1 for all", temperature: "0 for the likeliest", beam: "1 to sample" };
  const node = element(
    "div",
    { className: "fields" },
    ...Object.entries(inputs).map(([name, input]) => field(labels[name], input, remarks[name] ?? "\u00a0")),
  );
  inputs.beam.addEventListener("input", () => {
    for (const name of ["temperature", "top_k", "top_p", "seed"]) inputs[name].disabled = inputs.beam.valueAsNumber > 1;
  });
  const options = () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, numberOf(input, labels[name])]));
  return { node, options };
}
