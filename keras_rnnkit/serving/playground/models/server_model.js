/** A model behind the server. See `model.js` for the interface. */

import { events, json, request } from "./http.js";
import { openStream } from "./socket_stream.js";

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {{signal?: AbortSignal} & Record<string, any>} Options
 */

/** @implements {Model} */
export class ServerModel {
  /** @param {import("./model.js").Description} description */
  constructor(description) {
    this.description = description;
    this.address = `/v2/models/${encodeURIComponent(description.name)}`;
  }

  async predict(inputs, { signal } = /** @type {Options} */ ({})) {
    return (await json(`${this.address}/infer`, { inputs }, signal)).outputs;
  }

  stream({ signal } = /** @type {Options} */ ({})) {
    return openStream(this.address, signal);
  }

  async generate(prompt, { signal, ...options }) {
    const answer = await json(`${this.address}/generate`, { text_input: prompt, ...options }, signal);
    return answer.hypotheses ?? [{ text: answer.text_output, score: answer.score, attention: null }];
  }

  async *tokens(prompt, { signal, ...options }) {
    const response = await request(`${this.address}/generate_stream`, { text_input: prompt, ...options }, signal);
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error);
      yield event.text_output;
    }
  }

  async translate(source, { signal, ...options } = /** @type {Options} */ ({})) {
    const asked = typeof source === "string" ? { text_input: source } : { image: encoded(source) };
    const answer = await json(`${this.address}/generate`, { ...asked, all_attention: true, ...options }, signal);
    const best = { text: answer.text_output, score: answer.score, attention: answer.attention ?? null };
    const [, ...others] = answer.hypotheses ?? [best];
    return [best, ...others.map((hypothesis) => ({ attention: null, ...hypothesis }))];
  }

  async forecast(series, steps, { signal } = /** @type {Options} */ ({})) {
    const answer = await json(`${this.address}/forecast`, { series, steps }, signal);
    const rows = (values) => values.map((row) => (Array.isArray(row) ? row : [row]));
    const { interval } = answer;
    return {
      values: rows(answer.forecast),
      interval: interval ? { level: interval.level, lower: rows(interval.lower), upper: rows(interval.upper) } : null,
    };
  }

  async activations(text, state, { signal } = /** @type {Options} */ ({})) {
    const asked = { text_input: text, state, all_units: true };
    const { tokens, units, ranking, scale, data } = await json(`${this.address}/activations`, asked, signal);
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const value = (token, unit) => view.getInt16(2 * (token * units + unit), true) * scale;
    return { tokens, units, ranking, value };
  }
}

/** An image as the server reads it. */
function encoded({ shape, data }) {
  let letters = "";
  for (let start = 0; start < data.length; start += 4096) {
    letters += String.fromCharCode(...data.subarray(start, start + 4096));
  }
  return { shape, data: btoa(letters) };
}

/** The models of the server that served this page. */
export async function serverModels() {
  const { models } = await json("/v2/models");
  return models.map((description) => new ServerModel(description));
}

/** Whether the server wants a token, so that a browser which is in has signed in. */
export async function isProtected() {
  return (await json("/openapi.json")).security !== undefined;
}

/** Let this browser in; an error says why not. */
export async function signIn(token) {
  await request("/sign-in", { token });
}

export async function signOut() {
  await request("/sign-out", {});
}
