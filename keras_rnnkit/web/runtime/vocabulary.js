/** The vocabulary of a model: its tokens, each with a number. Characters, words, or pieces of words. */

import { BundleError, InputError, shown } from "./errors.js";
import { Pieces } from "./pieces.js";

export const [UNKNOWN, PADDING, BEGIN, END] = ["<unk>", "<pad>", "<bos>", "<eos>"];

const characters = { split: (text) => [...text], join: (tokens) => tokens.join("") };

/** Words; `<eos>` stands for the end of a line. */
function words({ punctuation = false }) {
  const pattern = punctuation ? /\n|[\p{L}\p{N}_]+(?:['\u2019][\p{L}\p{N}_]+)*|[^\p{L}\p{N}_\s]/gu : /\n|\S+/gu;
  return {
    split: (text) => (text.match(pattern) ?? []).map((token) => (token === "\n" ? END : token)),
    join: (tokens) => tokens.map((token) => (token === END ? "\n" : token)).join(" ").replace(/ ?\n ?/g, "\n"),
  };
}

const UNITS = { char: () => characters, word: words, subword: ({ pieces }) => new Pieces(JSON.parse(pieces)) };

export class Vocabulary {
  /** The vocabulary in the content of a file. */
  static parsed(content, where) {
    let description;
    try {
      description = JSON.parse(content);
    } catch (error) {
      throw new BundleError(`${shown(where)} is not a vocabulary that Vocabulary.save wrote (${error.message}).`);
    }
    const { format, unit, tokens, ...config } = description;
    if (format !== 1 || !(unit in UNITS)) {
      throw new BundleError(
        `${shown(where)} is a vocabulary of form ${shown(format)} with units ${shown(unit)}; this keras_rnnkit reads form 1 with ` +
          `units ${Object.keys(UNITS).map(shown).join(", ")}.`,
      );
    }
    return new Vocabulary(tokens, unit, UNITS[unit](config));
  }

  constructor(tokens, name, unit) {
    this.tokens = tokens;
    this.name = name;
    this.unit = unit;
    this.numbers = new Map(tokens.map((token, number) => [token, number]));
  }

  /** The number of a token, or null if it is not in the vocabulary. */
  number(token) {
    return this.numbers.get(token) ?? null;
  }

  /** The numbers of the tokens of a text. Others become `<unk>`; without it they are an error. */
  encode(text) {
    const tokens = this.unit.split(text);
    const unknown = this.number(UNKNOWN);
    const others = [...new Set(tokens.filter((token) => !this.numbers.has(token)))].sort();
    if (others.length && unknown === null) {
      const some = others.slice(0, 8).map(shown).join(", ") + (others.length > 8 ? ", ..." : "");
      throw new InputError(
        `The text has ${others.length} token(s) that the vocabulary of ${this.tokens.length} does not know: ${some}. Remove ` +
          "them from the text, or make the vocabulary with reserved=['<unk>'].",
      );
    }
    return tokens.map((token) => this.numbers.get(token) ?? unknown);
  }

  /** The text of these numbers without reserved tokens. For words, `<eos>` is the end of a line. */
  decode(numbers) {
    const hidden = new Set(this.name === "word" ? [PADDING, BEGIN] : [PADDING, BEGIN, END]);
    return this.unit.join(Array.from(numbers, (number) => this.tokens[number]).filter((token) => !hidden.has(token)));
  }
}
