/** Any model: a form made from its inputs, and its outputs as tables. */

import { announce, problemBox } from "../parts/announce.js";
import { codeBlock } from "../parts/copy.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { shapeText } from "../models/model.js";
import { exampleOf, tensorOf } from "../models/tensor_text.js";
import { tensorTable } from "../charts/tensor_table.js";

/** @param {import("../models/model.js").Model} model */
export function tensorsView(model) {
  const { inputs, name } = model.description;
  const problem = problemBox();
  const areas = inputs.map((input) => element("textarea", { rows: input.shape.length > 2 ? 5 : 2, spellcheck: false, className: "mono", value: exampleOf(input) }));
  const run = element("button", { type: "submit", className: "primary" }, "Run ", element("kbd", {}, "Ctrl+Enter"));
  const stop = element("button", { type: "button" }, "Stop");
  const results = element("div", { className: "view" });
  const runner = new Runner(problem, [run], stop);

  const form = element(
    "form",
    { className: "panel", onsubmit: (event) => (event.preventDefault(), runner.run(start)) },
    ...inputs.map((input, i) => field(input.name, areas[i], inputRemark(input))),
    element("div", { className: "row" }, run, stop, element("button", { type: "button", onclick: reset }, "Example")),
    problem.node,
  );
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  function reset() {
    inputs.forEach((input, i) => (areas[i].value = exampleOf(input)));
  }

  async function start(signal) {
    results.replaceChildren();
    const tensors = inputs.map((input, i) => tensorOf(input, areas[i].value));
    const { sequences, streams } = model.description;
    const outputs = await (streams && !sequences ? oneChunk(model, tensors, signal) : model.predict(tensors, { signal }));
    results.replaceChildren(
      panel("Outputs", ...outputs.map(tensorTable)),
      panel("This request", element("p", { className: "quiet" }, "The same from a shell:"), codeBlock(curl(name, tensors))),
    );
    announce(`The outputs: ${outputs.map((output) => `${output.name} ${shapeText(output.shape)}`).join(", ")}.`);
  }

  return { node: element("div", { className: "view" }, form, results), stop: () => runner.stop() };
}

/** The outputs of a model that only streams, for the first chunk of a stream. */
async function oneChunk(model, tensors, signal) {
  const stream = await model.stream({ signal });
  try {
    return await stream.push(tensors);
  } finally {
    stream.close();
  }
}

function inputRemark({ datatype, shape }) {
  const form = shape.length > 2 ? "a line for each step; an empty line between rows of the batch" : "a line for each row";
  return `${datatype} ${shapeText(shape)}: ${form}`;
}

function curl(name, tensors) {
  const body = JSON.stringify({ inputs: tensors }).replaceAll("'", "'\\''");
  return `curl ${location.origin}/v2/models/${encodeURIComponent(name)}/infer \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}
