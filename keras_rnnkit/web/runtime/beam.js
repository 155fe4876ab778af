/** Beam search, as `keras_rnnkit.decoding.Beam` does it. */

import { InputError, shown } from "./errors.js";
import { Strategy, allowed, argmax, logSoftmax } from "./strategies.js";

const { fround } = Math;
/** The score of a place for which there is no hypothesis yet. */
export const NONE_YET = fround(-1e9);

/** Keeps the `width` best beginnings, and lets each go on with every token. Row b * width + k is hypothesis k of b. */
export class Beam extends Strategy {
  /**
   * @param {object} [options]
   * @param {number} [options.width] hypotheses kept of each sequence
   * @param {number} [options.lengthPenalty] 0 ranks by the score, which favours short hypotheses
   * @param {boolean} [options.earlyStopping] end when the best hypothesis of every sequence is finished
   */
  constructor({ width = 4, lengthPenalty = 0, earlyStopping = false } = {}) {
    super();
    if (!Number.isInteger(width) || width < 1) {
      throw new InputError(`width must be a number of hypotheses, 1 or more. Received: width=${shown(width)}.`);
    }
    if (!Number.isFinite(lengthPenalty)) {
      throw new InputError(`length_penalty must be a finite number. Received: length_penalty=${shown(lengthPenalty)}.`);
    }
    this.width = this.rows = width;
    this.lengthPenalty = lengthPenalty;
    this.earlyStopping = earlyStopping;
  }

  begin(rows) {
    const first = Array.from({ length: rows }, (_, row) => row % this.width === 0);
    const each = (value) => Array.from({ length: rows }, () => value);
    return {
      tokens: each(0),
      scores: first.map((one) => (one ? 0 : NONE_YET)),
      lengths: each(0),
      finished: each(false),
      greedy: first,
    };
  }

  advance(carry, logits, noise, end) {
    const next = { tokens: [], scores: [], lengths: [], finished: [], greedy: [] };
    const rows = [];
    for (let begin = 0; begin < logits.length; begin += this.width) {
      for (const { parent, token, score, greedy } of this.continuations(carry, logits, begin, end)) {
        const finished = carry.finished[parent];
        rows.push(parent);
        next.tokens.push(token);
        next.scores.push(score);
        next.lengths.push(carry.lengths[parent] + Number(!finished));
        next.finished.push(finished || (end !== null && token === end));
        next.greedy.push(greedy);
      }
    }
    return { carry: next, rows };
  }

  /** The best continuations of one sequence, the one that greedy decoding would have found among them. */
  continuations(carry, logits, begin, end) {
    const own = Array.from({ length: this.width }, (_, k) => begin + k);
    const gains = own.map((row) => this.gains(logits[row], carry.finished[row], end));
    const count = gains[0].length;
    const total = new Float32Array(this.width * count);
    own.forEach((row, k) => gains[k].forEach((gain, token) => (total[k * count + token] = fround(carry.scores[row] + gain))));
    const places = best(total, this.width);
    const leader = own.findIndex((row) => carry.greedy[row]);
    const mine = leader * count + argmax(gains[leader]);
    if (!places.includes(mine)) places[this.width - 1] = mine;
    return places.map((place) => ({
      parent: begin + Math.floor(place / count),
      token: place % count,
      score: total[place],
      greedy: place === mine,
    }));
  }

  /** What each token adds to the score. A finished hypothesis can only stay as it is. */
  gains(logits, finished, end) {
    if (finished && end !== null) return Float32Array.from(logits, (_, token) => (token === end ? 0 : -Infinity));
    return allowed(logSoftmax(logits), this.forbidden, 2 * NONE_YET);
  }

  isOver(carry) {
    if (!this.earlyStopping) return carry.finished.every(Boolean);
    return this.ranked(carry).every(([first]) => carry.finished[first.row]) || carry.finished.every(Boolean);
  }

  ranked(carry) {
    const results = [];
    for (let begin = 0; begin < carry.scores.length; begin += this.width) {
      const own = Array.from({ length: this.width }, (_, k) => begin + k);
      const rank = own.map((row) => fround(carry.scores[row] / Math.exp(this.lengthPenalty * Math.log((5 + carry.lengths[row]) / 6))));
      const order = best(Float32Array.from(rank), this.width);
      results.push(order.map((k) => ({ row: begin + k, score: carry.scores[begin + k], length: carry.lengths[begin + k] })));
    }
    return results;
  }
}

/** The places of the k largest numbers, the largest first; of equal ones the first. */
function best(numbers, k) {
  return Array.from(numbers.keys())
    .sort((a, b) => numbers[b] - numbers[a] || a - b)
    .slice(0, k);
}
