/** Targets from sources, by a bundle of an encoder and a decoder. */

import { asKind, filled, repeatedRows, tokenTensor } from "./arrays.js";
import { InputError, wholeNumber } from "./errors.js";
import { generated, lastOf, loopFeeds, tokenSteps } from "./generation.js";
import { noise } from "./noise.js";

/**
 * @typedef {object} Translation
 * @property {string | null} text null without a vocabulary
 * @property {number} score sum of the log-probabilities of all tokens, the end token among them
 * @property {number[]} tokens without the end token
 * @property {number[][] | null} attention [tokens, steps of the source], null where the model has none
 */

/** A source as a tensor of one row, and its number of steps. */
export function sourceOf(source, facts, vocabulary) {
  if (facts.source !== "tokens") {
    const tensor = asKind("source", source, "float32");
    const expected = facts.source_shape.slice(1);
    const fits = tensor.dims.length === expected.length && expected.every((n, i) => n === null || n === tensor.dims[i]);
    if (!fits || tensor.dims.includes(0)) {
      const shape = expected.map((n) => n ?? "steps").join(", ");
      throw new InputError(`A source must have the shape [${shape}]. Received: [${tensor.dims.join(", ")}].`);
    }
    return { tensor: { ...tensor, dims: [1, ...tensor.dims] }, steps: null };
  }
  const tokens = typeof source === "string" ? encoded(source, vocabulary) : Array.from(source, Number);
  if (!tokens.length || tokens.every((token) => token === 0)) {
    throw new InputError(`Source 0 is empty. Received: [${tokens.length}]. A source must be one token or more.`);
  }
  if (!tokens.every(Number.isInteger)) throw new InputError("A source must be the ids of its tokens. Received: other numbers.");
  const [least, largest] = [Math.min(...tokens), Math.max(...tokens)];
  if (least < 0 || largest >= facts.source_tokens) {
    throw new InputError(`Tokens must be 0 to ${facts.source_tokens - 1}. Received: ${least} to ${largest} in source 0.`);
  }
  if (facts.limit !== null && facts.limit !== undefined && tokens.length > facts.limit) {
    throw new InputError(
      `Source 0 has ${tokens.length} steps, and the model takes ${facts.limit} at most. Shorten it, or train with a larger limit.`,
    );
  }
  return { tensor: tokenTensor("int32", [tokens]), steps: tokens.length };
}

function encoded(text, vocabulary) {
  if (!vocabulary) throw new InputError("The bundle has no vocabulary of sources, so a source must be the ids of its tokens.");
  return vocabulary.encode(text);
}

/** One run of the graph with the loop: tokens, scores, lengths and attention of each hypothesis, the best first. */
export async function byGraph(graph, source, steps, seed, options) {
  const results = await graph.run({ source, ...loopFeeds(graph, 1, steps, seed, options) });
  const { tokens, scores, lengths } = generated(results.generated, results.scores, results.lengths);
  const attention = results.attention;
  const [count, width] = [results.generated.dims.at(-1), attention?.dims.at(-1) ?? 0];
  const weights = (k) =>
    Array.from({ length: count }, (_, t) => Array.from(attention?.data.subarray((k * count + t) * width, (k * count + t + 1) * width) ?? []));
  return tokens[0].map((row, k) => ({ tokens: row, score: scores[0][k], length: lengths[0][k], attention: weights(k) }));
}

/** A loop over the graph of one step. */
export async function bySteps(encoder, step, source, strategy, steps, seed, facts) {
  wholeNumber("steps", steps, 1);
  wholeNumber("seed", seed, 0);
  const memory = await encoder.run({ source });
  const states = Object.fromEntries(step.states.map((state) => [state.input, memory[state.input]]));
  for (const name of Object.keys(states)) delete memory[name];
  const every = Object.fromEntries(Object.entries(memory).map(([name, tensor]) => [name, repeatedRows(tensor, strategy.rows)]));

  const scored = async (tokens, states, memory) => {
    const token = { type: step.kinds.token, dims: [tokens.length], data: filled(step.kinds.token, [tokens.length], tokens).data };
    const results = await step.run({ token, ...memory, ...states });
    const { data, dims } = results.logits;
    const logits = tokens.map((_, row) => data.slice(row * dims[1], (row + 1) * dims[1]));
    return { logits, attention: results.attention, states: step.carried(results) };
  };
  /** Attention travels with the states, as an array that grows, so that a beam's choices take it along. */
  const withAttention = async (tokens, { "": earlier, ...states }, memory) => {
    const answer = await scored(tokens, states, memory);
    return { logits: answer.logits, states: { ...answer.states, "": appended(earlier, answer.attention) } };
  };
  const first = await withAttention([facts.begin], /** @type {any} */ (states), memory);
  const random = strategy.needsNoise ? noise(seed, 1, steps) : null;
  const loop = tokenSteps((tokens, states) => withAttention(tokens, states, every), first, strategy, steps, random, facts.end);
  const { carry, tokens, states: last } = await lastOf(loop);
  return strategy.ranked(carry)[0].map(({ row, score, length }) => ({ tokens: tokens[row], score, length, attention: rowsOf(last[""], row) }));
}

/** [R, n, S] with one more step [R, S]; nothing where the model has no attention. */
function appended(earlier, attention) {
  const [rows, width] = attention ? attention.dims : [earlier?.dims[0] ?? 1, 0];
  const count = earlier ? earlier.dims[1] : 0;
  const data = new Float32Array(rows * (count + 1) * width);
  for (let row = 0; width && row < rows; row++) {
    if (earlier) data.set(earlier.data.subarray(row * count * width, (row + 1) * count * width), row * (count + 1) * width);
    data.set(attention.data.subarray(row * width, (row + 1) * width), (row * (count + 1) + count) * width);
  }
  return { type: "float32", dims: [rows, count + 1, width], data };
}

function rowsOf({ dims, data }, row) {
  const [, count, width] = dims;
  return Array.from({ length: count }, (_, t) => Array.from(data.subarray((row * count + t) * width, (row * count + t + 1) * width)));
}

/** A hypothesis as a `Translation`. steps: of the source. */
export function translation({ tokens, score, length, attention }, steps, end, vocabulary) {
  const count = length - Number(length > 0 && tokens[length - 1] === end);
  const own = tokens.slice(0, count);
  const width = attention[0]?.length ?? 0;
  const weights = width ? attention.slice(0, count).map((row) => row.slice(0, steps ?? width)) : null;
  return { text: vocabulary ? vocabulary.decode(own) : null, score, tokens: own, attention: weights };
}

