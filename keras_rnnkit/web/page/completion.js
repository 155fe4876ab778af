/** How a text may go on while it is typed. The states after the last tokens are kept, so that a key costs one short run. */

import { repeatedRows, tokenTensor } from "../runtime/arrays.js";
import { logitsOf } from "../runtime/generation.js";
import { argmax, logSoftmax } from "../runtime/strategies.js";
import { BEGIN, END, PADDING, UNKNOWN } from "../runtime/vocabulary.js";

/** Tokens of the end of a text whose states are kept one by one, so that they can be deleted again. */
const KEPT = 64;
/** Tokens of a completion, at most. */
const LONGEST = 16;
/** A word and what ends it, or a punctuation mark. */
const ENDED = /^(\s*[^\s\p{P}]+)[\s\p{P}]|^\s*\p{P}/u;

/** @typedef {{text: string, probability: number | null}} Completion what would be added to the text */

export class Completer {
  /** @param {import("../runtime/bundle.js").Bundle} bundle */
  static async open(bundle) {
    return new Completer(bundle, await bundle.graph("stream"));
  }

  constructor(bundle, graph) {
    this.vocabulary = bundle.vocabulary;
    this.graph = graph;
    this.input = graph.inputs[0];
    this.reserved = new Set([UNKNOWN, PADDING, BEGIN, END].map((token) => this.vocabulary.number(token)));
    /** What was read so far: after how many tokens, with the states and logits there. */
    this.places = [{ count: 0, states: graph.start(1), logits: null }];
    this.read = [];
  }

  /** The likeliest completions of the word that is being typed, or of the next one. @returns {Promise<Completion[]>} */
  async completions(text, count) {
    const { context, partial } = this.parted(text);
    const { logits, states } = await this.follow(this.vocabulary.encode(context));
    const own = partial ? this.beginning(partial) : null;
    if (!logits) return (own ?? []).slice(0, count).map((token) => ({ text: this.rest(token, partial), probability: null }));
    const logP = logSoftmax(logits);
    const tokens = (own ?? [...logP.keys()].filter((token) => !this.reserved.has(token)))
      .sort((a, b) => logP[b] - logP[a])
      .slice(0, count);
    if (this.vocabulary.name === "word") {
      const gap = partial || /\s$/.test(text) ? "" : " ";
      return tokens.map((token) => ({ text: gap + this.rest(token, partial), probability: Math.exp(logP[token]) }));
    }
    return this.extended(tokens, logP, states);
  }

  /** A model of words completes the word at the end of the text, if it knows longer ones that begin like it. */
  parted(text) {
    const word = this.vocabulary.name === "word" ? (/\S+$/.exec(text)?.[0] ?? "") : "";
    return word && this.beginning(word).length ? { context: text.slice(0, -word.length), partial: word } : { context: text, partial: "" };
  }

  beginning(partial) {
    const { tokens } = this.vocabulary;
    return [...tokens.keys()].filter((token) => !this.reserved.has(token) && tokens[token].length > partial.length && tokens[token].startsWith(partial));
  }

  rest(token, partial) {
    return this.vocabulary.tokens[token].slice(partial.length);
  }

  /** Read the tokens, from the last place that this text has in common with the one before. */
  async follow(tokens) {
    let same = 0;
    while (same < tokens.length && tokens[same] === this.read[same]) same++;
    this.places = this.places.filter(({ count }) => count <= same);
    this.read = tokens.slice(0, this.places.at(-1).count);
    const single = Math.max(this.read.length, tokens.length - KEPT);
    const chunks = [tokens.slice(this.read.length, single), ...tokens.slice(single).map((token) => [token])];
    for (const chunk of chunks.filter(({ length }) => length)) {
      const answer = await this.step([chunk], this.places.at(-1).states);
      this.read = [...this.read, ...chunk];
      this.places.push({ count: this.read.length, states: answer.states, logits: answer.logits[0] });
    }
    this.places = [this.places[0], ...this.places.slice(1).slice(-KEPT)];
    return this.places.at(-1);
  }

  async step(rows, states) {
    const tokens = this.graph.checked(this.input, tokenTensor(this.graph.kinds[this.input], rows));
    const results = await this.graph.runTensors({ [this.input]: tokens, ...states });
    return { logits: logitsOf(results[this.graph.outputs[0]]), states: this.graph.carried(results) };
  }

  /** Each of the tokens, with the likeliest ones after it up to the end of a word. */
  async extended(tokens, logP, states) {
    const rows = tokens.map((token) => ({ tokens: [token], score: logP[token] }));
    let wide = Object.fromEntries(Object.entries(states).map(([name, state]) => [name, repeatedRows(state, rows.length)]));
    const isOpen = (row) => !ENDED.test(this.vocabulary.decode(row.tokens));
    for (let n = 1; n < LONGEST && rows.some(isOpen); n++) {
      const answer = await this.step(rows.map((row) => [row.tokens.at(-1)]), wide);
      wide = answer.states;
      rows.forEach((row, r) => {
        if (!isOpen(row)) return;
        const next = answer.logits[r].map((logit, token) => (this.reserved.has(token) ? -Infinity : logit));
        row.score += logSoftmax(answer.logits[r])[argmax(next)];
        row.tokens.push(argmax(next));
      });
    }
    const found = new Map();
    for (const { tokens: own, score } of rows) {
      const text = this.vocabulary.decode(own);
      found.set(ENDED.exec(text)?.[1] ?? text, Math.exp(score));
    }
    return [...found].map(([text, probability]) => ({ text, probability }));
  }
}
