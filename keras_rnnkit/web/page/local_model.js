/** A model that runs in this browser, in a worker of its own so that the page never waits. See `model.js`. */

import { ask, asked } from "./calls.js";

/** @implements {Model} */
export class LocalModel {
  /** @param {import("./model.js").Description} description */
  constructor(description) {
    this.description = description;
    this.name = description.name;
  }

  predict(inputs, { signal } = {}) {
    return ask("predict", [this.name, inputs], signal);
  }

  async stream({ signal } = {}) {
    const stream = await ask("stream", [this.name], signal);
    return { push: (inputs) => ask("push", [stream, inputs], signal), close: () => ask("close", [stream]) };
  }

  generate(prompt, { signal, ...options }) {
    return ask("generate", [this.name, prompt, { ...options, end: this.description.end }], signal);
  }

  tokens(prompt, { signal, ...options }) {
    return asked("tokens", [this.name, prompt, { ...options, end: this.description.end }], signal);
  }

  translate(source, { signal, ...options } = {}) {
    return ask("translate", [this.name, source, options], signal);
  }

  forecast(series, steps, { signal } = {}) {
    return ask("forecast", [this.name, series, steps], signal);
  }

  async activations(text, state, { signal } = {}) {
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
