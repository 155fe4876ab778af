/** Any model: a form made from its inputs, and its outputs as tables. */

import { announce, problemBox } from "../parts/announce.js";
import { codeBlock } from "../parts/copy.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { submitOnControlEnter } from "../parts/shortcut.js";
import { shapeText } from "../models/model.js";
import { exampleOf, tensorOf } from "../models/tensor_text.js";
import { tensorTable } from "../charts/tensor_table.js";

export class TensorsView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.inputs = model.description.inputs;
    this.areas = this.inputs.map((input) =>
      element("textarea", { rows: input.shape.length > 2 ? 5 : 2, spellcheck: false, className: "mono", value: exampleOf(input) }));
    this.results = element("div", { className: "view" });
    this.node = element("div", { className: "view" }, this.form(), this.results);
  }

  form() {
    const problem = problemBox();
    const run = element("button", { type: "submit", className: "primary" }, "Run ", element("kbd", {}, "Ctrl+Enter"));
    const stop = element("button", { type: "button" }, "Stop");
    const example = element("button", { type: "button", onclick: () => this.fill() }, "Example");
    this.runner = new Runner(problem, [run], stop);
    const fields = this.inputs.map((input, i) => field(input.name, this.areas[i], hint(input)));
    const form = element("form", { className: "panel" }, ...fields, element("div", { className: "row" }, run, stop, example), problem.node);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.runner.run((signal) => this.run(signal));
    });
    submitOnControlEnter(form);
    return form;
  }

  /** Put the examples back. */
  fill() {
    this.inputs.forEach((input, i) => (this.areas[i].value = exampleOf(input)));
  }

  async run(signal) {
    this.results.replaceChildren();
    const { name, sequences, streams } = this.model.description;
    const tensors = this.inputs.map((input, i) => tensorOf(input, this.areas[i].value));
    const outputs = await (streams && !sequences ? firstChunk(this.model, tensors, signal) : this.model.predict(tensors, { signal }));
    this.results.replaceChildren(panel("Outputs", ...outputs.map((output) => tensorTable(output, this.model.description.labels))));
    if (!this.model.isLocal) this.results.append(requestPanel(name, tensors));
    announce(`The outputs: ${outputs.map((output) => `${output.name} ${shapeText(output.shape)}`).join(", ")}.`);
  }

  stop() {
    this.runner.stop();
  }
}

/** The outputs of a model that only streams, for the first chunk of a stream. */
async function firstChunk(model, tensors, signal) {
  const stream = await model.stream({ signal });
  try {
    return await stream.push(tensors);
  } finally {
    stream.close();
  }
}

function hint({ datatype, shape }) {
  const lines = shape.length > 2 ? "a line for each step; an empty line between rows of the batch" : "a line for each row";
  return `${datatype} ${shapeText(shape)}: ${lines}`;
}

function requestPanel(name, tensors) {
  return panel("This request", element("p", { className: "quiet" }, "The same from a shell:"), codeBlock(curl(name, tensors)));
}

function curl(name, tensors) {
  const body = JSON.stringify({ inputs: tensors }).replaceAll("'", "'\\''");
  const address = `${location.origin}/v2/models/${encodeURIComponent(name)}/infer`;
  return `curl ${address} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}
