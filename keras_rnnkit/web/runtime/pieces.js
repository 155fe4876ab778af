/**
 * Pieces of words by byte-pair encoding, as the `tokenizers` package applies them: bytes are written as printable
 * letters, a text is split into words with the space before them, and in each word the pair that was learned first is
 * joined until none is left.
 *
 * Paper: R. Sennrich, Neural machine translation of rare words with subword units, 2016.
 */

const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The letter of each byte: printable ones stand for themselves, the others for letters from 256 on. */
const LETTERS = (() => {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();
const BYTES = new Map(LETTERS.map((letter, byte) => [letter, byte]));

export class Pieces {
  /** @param {{model: any}} tokenizer a tokenizer of that package as JSON */
  constructor({ model }) {
    this.known = model.vocab;
    this.ranks = new Map(model.merges.map((pair, rank) => [(Array.isArray(pair) ? pair.join(" ") : pair), rank]));
    this.joined = new Map();
  }

  split(text) {
    return (text.match(WORDS) ?? []).flatMap((word) => this.piecesOf(word));
  }

  piecesOf(word) {
    if (!this.joined.has(word)) {
      let parts = Array.from(new TextEncoder().encode(word), (byte) => LETTERS[byte]);
      for (let place = this.next(parts); place >= 0; place = this.next(parts)) {
        parts = [...parts.slice(0, place), parts[place] + parts[place + 1], ...parts.slice(place + 2)];
      }
      this.joined.set(word, parts.filter((part) => part in this.known));
    }
    return this.joined.get(word);
  }

  /** Where the pair that was learned first stands, or -1. */
  next(parts) {
    let [best, rank] = [-1, Infinity];
    for (let i = 0; i + 1 < parts.length; i++) {
      const own = this.ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
      if (own < rank) [best, rank] = [i, own];
    }
    return best;
  }

  join(tokens) {
    const bytes = [...tokens.join("")].flatMap((letter) => (BYTES.has(letter) ? [BYTES.get(letter)] : [...new TextEncoder().encode(letter)]));
    return new TextDecoder().decode(new Uint8Array(bytes));
  }
}
