/** A model that runs in this browser, in a worker of its own so that the page never waits. See `model.js`. */

import { ask, asked } from "./calls.js";

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {{signal?: AbortSignal} & Record<string, any>} Options
 */

/** @implements {Model} */
export class LocalModel {
  /** @param {import("./model.js").Description} description */
  constructor(description) {
    this.description = description;
    this.name = description.name;
    this.isLocal = true;
  }

  /** Load what a view needs first. {waited, opened}: milliseconds until onnxruntime-web was there, and for the model. */
  prepare() {
    return ask("prepare", [this.name]);
  }

  /** How a text may go on, the likeliest first. @returns {Promise<import("./model.js").Completion[]>} */
  completions(text, count, { signal } = /** @type {Options} */ ({})) {
    return ask("completions", [this.name, text, count], signal);
  }

  /** A series that grows by `push(points, steps)`, which gives the forecast after the points. */
  async live({ signal } = /** @type {Options} */ ({})) {
    const series = await ask("live", [this.name], signal);
    return { push: (points, steps) => ask("point", [series, points, steps], signal), close: () => ask("close", [series]) };
  }

  /** What a model of glimpses says of an image after each. image: {shape, data}, data from 0 to 255. */
  glimpses(image, count, { signal } = /** @type {Options} */ ({})) {
    return ask("glimpses", [this.name, image, count], signal);
  }

  /** The shades of an image that begins with some pixels. */
  draw(request, { signal } = /** @type {Options} */ ({})) {
    return ask("draw", [this.name, request], signal);
  }

  /** Times of steps of a stream, for `rnnkit bench web`. */
  measure(settings) {
    return ask("measure", [this.name, settings]);
  }

  /** The outputs for a text, of a model that writes none. */
  read(text, { signal } = /** @type {Options} */ ({})) {
    return ask("read", [this.name, text], signal);
  }

  predict(inputs, { signal } = /** @type {Options} */ ({})) {
    return ask("predict", [this.name, inputs], signal);
  }

  async stream({ signal } = /** @type {Options} */ ({})) {
    const stream = await ask("stream", [this.name], signal);
    return { push: (inputs) => ask("push", [stream, inputs], signal), close: () => ask("close", [stream]) };
  }

  generate(prompt, { signal, ...options }) {
    return ask("generate", [this.name, prompt, { ...options, end: this.description.end }], signal);
  }

  tokens(prompt, { signal, ...options }) {
    return asked("tokens", [this.name, prompt, { ...options, end: this.description.end }], signal);
  }

  translate(source, { signal, ...options } = /** @type {Options} */ ({})) {
    return ask("translate", [this.name, source, options], signal);
  }

  forecast(series, steps, { signal } = /** @type {Options} */ ({})) {
    return ask("forecast", [this.name, series, steps], signal);
  }

  async activations(text, state, { signal } = /** @type {Options} */ ({})) {
    const { tokens, units, ranking, values } = await ask("activations", [this.name, text, state], signal);
    return { tokens, units, ranking, value: (token, unit) => values[token * units + unit] };
  }
}

/** The models beside this page. */
export async function allModels() {
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has no WebAssembly, which the models need. Use a current Chrome, Edge, Firefox or Safari, and allow it there.");
  }
  const response = await fetch(new URL("../../models.json", import.meta.url));
  if (!response.ok) throw new Error(`The page has no list of models: the server answered ${response.status} for models.json.`);
  const descriptions = await response.json().catch((error) => {
    throw new Error(`The list of models, models.json, cannot be read: ${error.message}. Build the page again.`);
  });
  return descriptions.map((description) => new LocalModel(description));
}
