/** An ONNX graph that onnxruntime-web runs, and what its metadata say about it. */

import { asKind, checkAxes, checkShape, checkTokens, filled } from "./arrays.js";
import { BundleError, InputError, listed, shown } from "./errors.js";
import { described } from "./onnx_file.js";

export class Graph {
  /** @returns {Promise<Graph>} of the bytes of a file. ort: the module onnxruntime-web. */
  static async open(ort, name, content) {
    let description;
    try {
      description = described(content);
    } catch (error) {
      throw new BundleError(`The metadata of ${shown(name)} cannot be used: ${error.message}. Export the model again.`);
    }
    const options = { executionProviders: ["wasm"], logSeverityLevel: 3 }; // warnings are about how the graph was written
    try {
      return new Graph(ort, name, description, await ort.InferenceSession.create(content, options));
    } catch (error) {
      throw new BundleError(`onnxruntime cannot load ${shown(name)}: ${error.message ?? error}`);
    }
  }

  constructor(ort, name, description, session) {
    this.ort = ort;
    this.name = name;
    this.session = session;
    this.facts = description.facts;
    this.mode = this.facts.mode ?? "sequence";
    /** What the metadata say of each carried state. */
    this.states = this.facts.states ?? [];
    this.tokenCounts = description.tokenCounts;
    const every = [...description.inputs, ...description.defaults];
    this.kinds = Object.fromEntries(description.inputs.map((input) => [input.name, input.type]));
    this.allKinds = Object.fromEntries(every.map((input) => [input.name, input.type]));
    this.shapes = Object.fromEntries(every.map((input) => [input.name, input.shape]));
    const carried = (end) => new Set(this.states.map((state) => state[end]));
    /** The names of the inputs and outputs that are no states. */
    this.inputs = Object.keys(this.kinds).filter((name) => !carried("input").has(name));
    this.results = description.outputs.map((output) => output.name);
    this.outputs = this.results.filter((name) => !carried("output").has(name));
    /** Each run waits for the one before it: a session runs one at a time. */
    this.last = Promise.resolve();
  }

  /** The initial states of that many rows, by name. */
  start(rows) {
    return Object.fromEntries(this.states.map((s) => [s.input, filled(s.dtype, [rows, ...s.shape], s.start)]));
  }

  /** The value of an input as a tensor; an InputError for another shape or dtype, or unknown tokens. */
  checked(name, value) {
    if (!(name in this.allKinds)) {
      throw new InputError(`The graph has no input ${shown(name)}. It takes ${listed(Object.keys(this.allKinds))}.`);
    }
    const tensor = asKind(name, value, this.allKinds[name]);
    checkShape(name, tensor, this.shapes[name]);
    if (name in this.tokenCounts) checkTokens(name, tensor, this.tokenCounts[name]);
    return tensor;
  }

  /** The outputs by name, states included, for a value of each input by name. */
  run(feeds) {
    return this.runTensors(Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, this.checked(name, value)])));
  }

  /** `run` for tensors that `checked` or the graph itself returned: only their shapes must fit together. */
  async runTensors(tensors) {
    const missing = Object.keys(this.kinds).filter((name) => !(name in tensors));
    if (missing.length) {
      throw new InputError(`The graph needs ${listed(missing)} too. Received: ${listed(Object.keys(tensors))}.`);
    }
    checkAxes(tensors, this.shapes);
    const feeds = {};
    for (const [name, { type, data, dims }] of Object.entries(tensors)) feeds[name] = new this.ort.Tensor(type, data, dims);
    const run = this.last.then(() => this.session.run(feeds));
    this.last = run.catch(() => {});
    let results;
    try {
      results = await run;
    } catch (error) {
      throw new InputError(`The graph ${shown(this.name)} cannot run on these inputs: ${error.message ?? error}`);
    }
    return Object.fromEntries(
      this.results.map((name) => [name, { type: results[name].type, dims: [...results[name].dims], data: results[name].data }]),
    );
  }

  /** The outputs that are no states: one tensor, or an object of them by name where there are several. */
  visible(results) {
    if (this.outputs.length === 1) return results[this.outputs[0]];
    return Object.fromEntries(this.outputs.map((name) => [name, results[name]]));
  }

  /** The states after a run, by the names of the inputs that they go to. */
  carried(results) {
    return Object.fromEntries(this.states.map((state) => [state.input, results[state.output]]));
  }

  release() {
    return this.session.release();
  }
}

/** Inputs that stay the same from chunk to chunk, as tensors with that many rows. */
export function checkedFixed(graph, fixed, rows) {
  const unknown = Object.keys(fixed).filter((name) => !graph.inputs.includes(name));
  if (unknown.length) throw new InputError(`The graph has no input ${shown(unknown[0])}. It takes ${listed(graph.inputs)}.`);
  const tensors = Object.fromEntries(Object.entries(fixed).map(([name, value]) => [name, graph.checked(name, value)]));
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor.dims[0] !== rows) {
      throw new InputError(`The input ${shown(name)} must have ${rows} rows, as all others. Received: ${tensor.dims[0]}.`);
    }
  }
  return tensors;
}
