/** Tokens from a bundle: by the graph that holds the loop, or by a loop here over the graph of one step. */

import { repeatedRows, stackRows, takeRows, tokenTensor } from "./arrays.js";
import { InputError, shown, wholeNumber } from "./errors.js";
import { checkedFixed } from "./graph.js";
import { noise } from "./noise.js";
import { Sampling } from "./strategies.js";

/**
 * @typedef {object} Generated
 * @property {number[][][]} tokens for each prompt its results, the best first; a beam has several
 * @property {number[][]} scores sums of log-probabilities
 * @property {number[][]} lengths
 */

/**
 * Runs of a graph of mode "generate", one for the prompts of each length: onnxruntime-web cannot set the lengths, which
 * are an input with a default. prompts: rows of token ids.
 *
 * @returns {Promise<Generated>}
 */
export async function byGraph(graph, prompts, steps, seed, options, fixed) {
  const every = { ...fixed, ...loopFeeds(graph, prompts.length, steps, seed, options) };
  const tensors = Object.fromEntries(Object.entries(every).map(([name, value]) => [name, graph.checked(name, value)]));
  const found = { tokens: [], scores: [], lengths: [] };
  for (const rows of rowsByLength(prompts)) {
    const own = Object.entries(tensors).map(([name, tensor]) => [name, tensor.dims.length ? takeRows(tensor, rows) : tensor]);
    const tokens = tokenTensor(graph.allKinds[graph.facts.tokens], rows.map((row) => prompts[row]));
    const results = await graph.run({ ...Object.fromEntries(own), [graph.facts.tokens]: tokens });
    const answer = generated(...graph.outputs.map((name) => results[name]));
    for (const name of Object.keys(found)) rows.forEach((row, place) => (found[name][row] = answer[name][place]));
  }
  const longest = Math.max(...found.tokens.flat().map((row) => row.length));
  found.tokens = found.tokens.map((rows) => rows.map((row) => [...row, ...Array(longest - row.length).fill(row.at(-1))]));
  return found;
}

/** The rows of each length, in the order of their first ones. */
function rowsByLength(prompts) {
  const groups = new Map();
  prompts.forEach(({ length }, row) => groups.set(length, [...(groups.get(length) ?? []), row]));
  return [...groups.values()];
}

/** The outputs of a loop inside a graph, by prompt and hypothesis. */
export function generated(tokens, scores, lengths) {
  const [steps, hypotheses] = [tokens.dims.at(-1), scores.dims[1] ?? 1];
  const by = (function_) =>
    Array.from({ length: scores.dims[0] }, (_, b) => Array.from({ length: hypotheses }, (_, k) => function_(b * hypotheses + k)));
  return {
    tokens: by((i) => Array.from(tokens.data.subarray(i * steps, (i + 1) * steps), Number)),
    scores: by((i) => scores.data[i]),
    lengths: by((i) => Number(lengths.data[i])),
  };
}

/** The inputs of a loop inside a graph besides a prompt or a source: noise or steps, and numbers of the strategy. */
export function loopFeeds(graph, rows, steps, seed, options) {
  wholeNumber("steps", steps, 1);
  wholeNumber("seed", seed, 0);
  const given = checkedOptions(graph, options);
  const length =
    "noise" in graph.kinds
      ? { noise: { type: "float32", dims: [rows, steps], data: noise(seed, rows, steps) } }
      : { steps: { type: "int64", dims: [], data: new BigInt64Array([BigInt(steps)]) } };
  const defaults = Object.entries({ ...graph.facts.defaults, ...given });
  return { ...length, ...Object.fromEntries(defaults.map(([name, value]) => [name, number(graph.allKinds[name], value)])) };
}

const number = (type, value) => ({
  type,
  dims: [],
  data: type === "int64" ? new BigInt64Array([BigInt(value)]) : type === "int32" ? new Int32Array([value]) : new Float32Array([value]),
});

function checkedOptions(graph, { end = null, ...others }) {
  const given = Object.entries(others).filter(([, value]) => value !== null && value !== undefined);
  const names = { temperature: "temperature", topK: "top_k", topP: "top_p" };
  const unknown = given.find(([name]) => !(names[name] in (graph.facts.defaults ?? {})));
  if (unknown) {
    throw new InputError(
      `The graph decodes by ${shown(graph.facts.strategy)} and has no ${shown(names[unknown[0]] ?? unknown[0])}. ` +
        "Pass a strategy to decode otherwise, such as new Sampling({...}).",
    );
  }
  if (end !== null && end !== graph.facts.end) {
    throw new InputError(
      `The graph ends a row at the token ${graph.facts.end}, and that cannot be changed. Received: end=${end}. ` +
        "Pass strategy= too, or export the model with another end.",
    );
  }
  new Sampling(Object.fromEntries(given)); // refuses bad numbers
  return Object.fromEntries(given.map(([name, value]) => [names[name], value]));
}

/** The graph of a chunk as the step of a token loop. */
export class StepLoop {
  constructor(graph, fixed, hypotheses, rows) {
    this.graph = graph;
    this.fixed = checkedFixed(graph, fixed, rows);
    this.each = Object.fromEntries(Object.entries(this.fixed).map(([name, tensor]) => [name, repeatedRows(tensor, hypotheses)]));
    const names = graph.inputs.filter((name) => !(name in fixed));
    if (names.length !== 1 || !graph.kinds[names[0]].includes("int")) {
      const kinds = names.map((name) => `${shown(name)} ${graph.kinds[name]}`).join(", ");
      throw new InputError(
        `The model must go from one input of tokens to scores of the next one. Received: the inputs ${kinds}. ` +
          "Pass the values of all others by name.",
      );
    }
    this.tokens = names[0];
  }

  /** {logits, states} after the prompts. Prompts of one length are read together, so each row is what it is alone. */
  async read(prompts) {
    const [order, logits, states] = [[], [], []];
    for (const rows of rowsByLength(prompts)) {
      const fixed = Object.fromEntries(Object.entries(this.fixed).map(([name, tensor]) => [name, takeRows(tensor, rows)]));
      const answer = await this.scores(rows.map((row) => prompts[row]), this.graph.start(rows.length), fixed);
      order.push(...rows);
      logits.push(...answer.logits);
      states.push(answer.states);
    }
    const back = [...order.keys()].sort((a, b) => order[a] - order[b]);
    const joined = Object.keys(states[0]).map((name) => [name, takeRows(stackRows(states.map((s) => s[name])), back)]);
    return { logits: back.map((place) => logits[place]), states: Object.fromEntries(joined) };
  }

  /** {logits, states} after one more token of each row. */
  step(tokens, states) {
    return this.scores(tokens.map((token) => [token]), states, this.each);
  }

  async scores(rows, states, fixed) {
    const tokens = this.graph.checked(this.tokens, tokenTensor(this.graph.kinds[this.tokens], rows));
    const results = await this.graph.runTensors({ [this.tokens]: tokens, ...fixed, ...states });
    return { logits: logitsOf(results[this.graph.outputs[0]]), states: this.graph.carried(results) };
  }
}

/** The logits of the last step, a row of numbers for each row, from what the model gives: probabilities or logits. */
export function logitsOf(y) {
  const [rows, count] = [y.dims[0], y.dims.at(-1)];
  const steps = y.dims.length === 3 ? y.dims[1] : 1;
  const last = Array.from({ length: rows }, (_, b) => Float32Array.from(y.data.subarray((b * steps + steps - 1) * count, (b + 1) * steps * count)));
  const probabilities = last.every((row) => row.every((p) => p >= 0) && Math.abs(row.reduce((a, b) => a + b, 0) - 1) <= 1e-3 + 1e-5);
  return probabilities ? last.map((row) => row.map((p) => Math.log(Math.max(p, 1e-30)))) : last;
}

/**
 * Every step of the token loop: `{carry, tokens, states, last}`, with a call of the model between two of them.
 *
 * @param {(tokens: number[], states: any) => Promise<{logits: any[], states: any}>} step
 * @param {{logits: any[], states: any}} first what follows the prompts
 */
export async function* tokenSteps(step, first, strategy, steps, random, end) {
  check(strategy, steps, first.logits[0].length, end);
  let { logits, states } = widened(first, strategy.rows);
  let carry = strategy.begin(logits.length);
  let tokens = logits.map(() => []);
  for (let t = 0; t < steps; t++) {
    const column = random && logits.map((_, row) => random[Math.floor(row / strategy.rows) * steps + t]);
    const next = strategy.advance(carry, logits, column, end);
    const parents = next.rows ?? [...tokens.keys()];
    carry = next.carry;
    tokens = parents.map((parent, row) => [...tokens[parent], carry.tokens[row]]);
    if (next.rows) states = Object.fromEntries(Object.entries(states).map(([name, state]) => [name, takeRows(state, next.rows)]));
    const last = t === steps - 1 || strategy.isOver(carry);
    yield { carry, tokens, states, last };
    if (last) return;
    ({ logits, states } = await step(carry.tokens, states));
  }
}

const widened = ({ logits, states }, rows) => ({
  logits: logits.flatMap((row) => Array.from({ length: rows }, () => row)),
  states: Object.fromEntries(Object.entries(states).map(([name, state]) => [name, repeatedRows(state, rows)])),
});

function check(strategy, steps, count, end) {
  wholeNumber("steps", steps, 1);
  if (end !== null && !(Number.isInteger(end) && end >= 0 && end < count)) {
    throw new InputError(
      `end must be one of the ${count} tokens, 0 to ${count - 1}, or None where no token ends a row. Received: end=${shown(end)}.`,
    );
  }
  if (strategy.forbidden.filter((token) => token < count).length === count) {
    throw new InputError(`All ${count} tokens are forbidden. Allow one of them or more.`);
  }
  if (strategy.forbidden.includes(end)) {
    throw new InputError(`The token ${end} ends a row, and it is forbidden. Allow it, or give another end.`);
  }
}

/** The last value of an async iterator. */
export async function lastOf(iterator) {
  let last;
  for await (const value of iterator) last = value;
  return last;
}

/** A loop over a graph of mode "stream". @returns {Promise<Generated>} */
export async function bySteps(graph, prompts, strategy, steps, seed, end, fixed) {
  const { carry, tokens } = await lastOf(await stepsOf(graph, prompts, strategy, steps, seed, end, fixed));
  const ranked = strategy.ranked(carry);
  const by = (function_) => ranked.map((results) => results.map(function_));
  return { tokens: by(({ row }) => tokens[row]), scores: by(({ score }) => score), lengths: by(({ length }) => length) };
}

/** The steps of a token loop, after the prompts were read and the noise was drawn. */
export async function stepsOf(graph, prompts, strategy, steps, seed, end, fixed) {
  wholeNumber("steps", steps, 1);
  wholeNumber("seed", seed, 0);
  const loop = new StepLoop(graph, fixed, strategy.rows, prompts.length);
  const first = await loop.read(prompts);
  const random = strategy.needsNoise ? noise(seed, prompts.length, steps) : null;
  return tokenSteps((tokens, states) => loop.step(tokens, states), first, strategy, steps, random, end);
}

