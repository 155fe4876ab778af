/** A stream: a graph over chunks, and the states between them. */

import { InputError, listed, shown, wholeNumber } from "./errors.js";
import { checkedFixed } from "./graph.js";

const copied = (states) =>
  Object.fromEntries(Object.entries(states).map(([name, state]) => [name, { ...state, data: state.data.slice() }]));
const isNamed = (chunk) => Object.getPrototypeOf(chunk ?? 0) === Object.prototype && !Array.isArray(chunk.dims);

/** Runs a graph of mode "stream" chunk by chunk. Each row of the batch is a stream of its own. */
export class Stream {
  /**
   * @param {import("./graph.js").Graph} graph
   * @param {number} rows how many streams run side by side
   * @param {object} fixed inputs that are the same for every chunk, by name
   */
  constructor(graph, rows = 1, fixed = {}) {
    this.graph = graph;
    this.rows = wholeNumber("rows", rows, 1);
    this.fixed = checkedFixed(graph, fixed, this.rows);
    this.states = graph.start(this.rows);
    this.last = Promise.resolve();
  }

  /**
   * The outputs for the next steps; the states change only if the run succeeds. Pushes wait for each other.
   *
   * @param chunk an array [rows, steps, ...], or an object of arrays by the names of the inputs
   */
  push(chunk) {
    const run = this.last.then(() => this.pushed(chunk));
    this.last = run.catch(() => {});
    return run;
  }

  async pushed(chunk) {
    const tensors = Object.fromEntries(Object.entries(this.named(chunk)).map(([name, value]) => [name, this.graph.checked(name, value)]));
    for (const [name, tensor] of Object.entries(tensors)) {
      if (tensor.dims.length && tensor.dims[0] !== this.rows) {
        throw new InputError(`The stream has ${this.rows} rows. Received: ${tensor.dims[0]} in the input ${shown(name)}.`);
      }
    }
    const results = await this.graph.runTensors({ ...tensors, ...this.fixed, ...this.states });
    this.states = this.graph.carried(results);
    return this.graph.visible(results);
  }

  named(chunk) {
    const names = this.graph.inputs.filter((name) => !(name in this.fixed));
    if (!isNamed(chunk)) {
      if (names.length !== 1) {
        throw new InputError(`The graph has the inputs ${listed(names)}. Push an object of arrays by these names.`);
      }
      return { [names[0]]: chunk };
    }
    const unknown = Object.keys(chunk).filter((name) => !names.includes(name));
    if (unknown.length) throw new InputError(`A chunk consists of ${listed(names)}. Received: ${shown(unknown[0])}.`);
    return chunk;
  }

  /** Set the states of all rows, or of the rows with these numbers, to their initial values. */
  reset(rows = null) {
    const fresh = this.graph.start(this.rows);
    if (rows === null) {
      this.states = fresh;
      return;
    }
    const places = [rows].flat();
    if (places.some((row) => !Number.isInteger(row) || row < 0 || row >= this.rows)) {
      throw new InputError(`The stream has the rows 0 to ${this.rows - 1}. Received: [${places.join(", ")}].`);
    }
    this.states = copied(this.states);
    for (const [name, { data }] of Object.entries(this.states)) {
      const size = data.length / this.rows;
      for (const row of places) data.set(fresh[name].data.subarray(row * size, (row + 1) * size), row * size);
    }
  }

  /** The states by name, to go back to with `restore`. */
  snapshot() {
    return copied(this.states);
  }

  /** Set the states to those of a snapshot of as many rows. */
  restore(states) {
    const expected = this.graph.start(this.rows);
    const shapes = (all) => JSON.stringify(Object.entries(all).map(([name, { dims }]) => [name, [...(dims ?? [])]]).sort());
    if (shapes(states ?? {}) !== shapes(expected)) {
      throw new InputError(
        `These are not the states of ${this.rows} rows of this graph. Received: ${shapes(states ?? {})}, expected ${shapes(expected)}.`,
      );
    }
    this.states = copied(states);
  }
}
