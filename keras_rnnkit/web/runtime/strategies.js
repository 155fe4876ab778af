/**
 * Ways to pick the next token: greedy, and sampling with temperature, top-k and top-p. The same numbers in the same order
 * as `keras_rnnkit.decoding` in NumPy, in float32, so that the same seed picks the same tokens.
 */

import { InputError, shown } from "./errors.js";

const { fround } = Math;
/** The logit of a forbidden token: its probability is 0 at every temperature. */
const IMPOSSIBLE = fround(-1e30);
/** Times a float32 it is less than that float32; 1 - 2 ** -24, which noise may be, is not always. */
const BELOW_ONE = fround(1 - 2 ** -23);

/** The place of the largest number, of equal ones the first. */
export function argmax(numbers) {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[best]) best = i;
  return best;
}

/** log(softmax(logits)). */
export function logSoftmax(logits) {
  const top = logits[argmax(logits)];
  const below = Float32Array.from(logits, (logit) => logit - top);
  const log = fround(Math.log(fround(below.reduce((sum, logit) => sum + fround(Math.exp(logit)), 0))));
  return below.map((logit) => logit - log);
}

/** Picks one token after the other. Override `pick`. */
export class Strategy {
  /** How many rows of the model's batch each sequence takes. */
  rows = 1;
  /** Whether `pick` reads its noise. */
  needsNoise = false;
  /** Tokens that are never picked. */
  forbidden = [];

  /** The same strategy, which never picks these tokens. */
  forbidding(tokens) {
    const other = Object.assign(Object.create(Object.getPrototypeOf(this)), this);
    other.forbidden = [...new Set([...this.forbidden, ...tokens])];
    return other;
  }

  /**
   * The next token.
   *
   * @param {Float32Array} logits
   * @param {number} noise in [0, 1)
   * @returns {number}
   */
  pick(logits, noise) {
    throw new Error("A strategy must define pick(logits, noise).");
  }

  begin(rows) {
    const each = (value) => Array.from({ length: rows }, () => value);
    return { tokens: each(0), scores: each(0), lengths: each(0), finished: each(false) };
  }

  /** One token further; a finished row stays as it is, and repeats the end token. */
  advance(carry, logits, noise, end) {
    const next = { tokens: [], scores: [], lengths: [], finished: [] };
    logits.forEach((row, b) => {
      const live = !carry.finished[b];
      const picked = this.pick(allowed(row, this.forbidden, IMPOSSIBLE), noise?.[b]);
      const token = live || end === null ? picked : end;
      next.tokens.push(token);
      next.scores.push(live ? fround(carry.scores[b] + logSoftmax(row)[picked]) : carry.scores[b]);
      next.lengths.push(carry.lengths[b] + Number(live));
      next.finished.push(carry.finished[b] || (end !== null && token === end));
    });
    return { carry: next, rows: null };
  }

  /** Whether no token has to follow. */
  isOver(carry) {
    return carry.finished.every(Boolean);
  }

  /** For each sequence its results, the best first: the row of each, its score and its length. */
  ranked(carry) {
    return carry.scores.map((score, row) => [{ row, score, length: carry.lengths[row] }]);
  }
}

export function allowed(numbers, forbidden, value) {
  if (!forbidden.length) return numbers;
  const copy = numbers.slice();
  for (const token of forbidden) if (token < copy.length) copy[token] = value;
  return copy;
}

/** The likeliest token; of equally likely ones the first. */
export class Greedy extends Strategy {
  pick(logits) {
    return argmax(logits);
  }
}

/** A token drawn from the model's distribution. */
export class Sampling extends Strategy {
  needsNoise = true;

  /**
   * @param {object} [options]
   * @param {number} [options.temperature] below 1 likely tokens become likelier
   * @param {number | null} [options.topK] keep so many of the likeliest tokens; null or 0 keeps all
   * @param {number | null} [options.topP] keep the fewest likeliest tokens whose probabilities reach that part
   */
  constructor({ temperature = 1, topK = null, topP = null } = {}) {
    super();
    if (!(temperature > 0 && temperature < Infinity)) {
      throw new InputError(
        `temperature must be more than 0; the likeliest token alone is Greedy(). Received: temperature=${shown(temperature)}.`,
      );
    }
    if (topK !== null && !(Number.isInteger(topK) && topK >= 0 && topK < 2 ** 31)) {
      throw new InputError(`top_k must be a number of tokens, 0 or None for all. Received: top_k=${shown(topK)}.`);
    }
    if (topP !== null && !(topP > 0 && topP <= 1)) {
      throw new InputError(`top_p must be a probability, more than 0 and at most 1. Received: top_p=${shown(topP)}.`);
    }
    this.temperature = fround(temperature);
    this.topK = topK || null;
    this.topP = topP === 1 ? null : topP;
  }

  pick(logits, noise) {
    let p = this.probabilities(logits);
    if (this.topK !== null || this.topP !== null) {
      const kept = this.kept(logits);
      p = p.map((weight, token) => (kept[token] ? weight : 0));
    }
    return inverse(p, noise);
  }

  probabilities(logits) {
    const top = logits[argmax(logits)];
    const p = Float32Array.from(logits, (logit) => Math.exp(fround(fround(logit - top) / this.temperature)));
    const sum = fround(p.reduce((total, weight) => total + weight, 0));
    return p.map((weight) => fround(weight / sum));
  }

  /** Which tokens are kept: those above the least that is kept, and the first of its equals. */
  kept(logits) {
    const ranked = Float32Array.from(logits).sort().reverse().slice(0, this.topK ?? logits.length);
    const number = this.numberKept(ranked);
    const least = ranked[number - 1];
    let place = logits.reduce((count, logit) => count + Number(logit > least), 0);
    return Array.from(logits, (logit) => logit > least || (logit === least && ++place <= number));
  }

  numberKept(ranked) {
    const p = this.probabilities(ranked);
    if (this.topP === null) return Math.max(1, p.filter((weight) => weight > 0).length);
    const [sum, reach] = [fround(p.reduce((total, weight) => total + weight, 0)), fround(this.topP)];
    let [cumulated, number] = [0, 0];
    for (const weight of p) {
      cumulated = fround(cumulated + weight);
      if (fround(cumulated - weight) < fround(reach * sum) && weight > 0) number++;
    }
    return Math.max(1, number);
  }
}

/** The first token at which the cumulated p is more than that part of its whole; never one of no weight. */
function inverse(p, noise) {
  const reached = new Float32Array(p.length);
  let cumulated = 0;
  p.forEach((weight, token) => {
    cumulated = fround(cumulated + weight);
    if (weight > 0) reached[token] = cumulated;
  });
  const limit = fround(Math.min(noise, BELOW_ONE) * reached[argmax(reached)]);
  return Math.max(0, reached.findIndex((sum) => sum > limit));
}
