/**
 * The noise of sampling: the uniform numbers of NumPy's `default_rng(seed).random(..., dtype=float32)`, so that a seed
 * picks the same tokens here and in Python.
 *
 * A seed is mixed into 256 bits (SeedSequence, after M. O'Neill's seed_seq_fe), which start a PCG64 generator
 * (M. O'Neill, PCG: a family of simple fast space-efficient statistically good algorithms, 2014, XSL-RR 128/64).
 */

import { wholeNumber } from "./errors.js";

const POOL = 4;
const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = (2549297995355413924n << 64n) | 4865540595714422341n;

/** @returns {Float32Array} [rows, steps], uniform in [0, 1) */
export function noise(seed, rows, steps) {
  const numbers = new Float32Array(wholeNumber("batch", rows, 1) * wholeNumber("steps", steps, 1));
  const next = generator(wholeNumber("seed", seed, 0));
  for (let i = 0; i < numbers.length; i++) numbers[i] = (next() >>> 8) / 2 ** 24;
  return numbers;
}

/** A function that returns the next 32 bits. */
function generator(seed) {
  const [high, low, incrementHigh, incrementLow] = words64(mixed(seed));
  const increment = ((((incrementHigh << 64n) | incrementLow) << 1n) | 1n) & MASK_128;
  const stepped = (state) => (state * MULTIPLIER + increment) & MASK_128;
  let state = stepped((stepped(0n) + ((high << 64n) | low)) & MASK_128);
  let upper = null;
  return () => {
    if (upper !== null) {
      const kept = upper;
      upper = null;
      return kept;
    }
    state = stepped(state);
    const rotation = state >> 122n;
    const folded = (state >> 64n) ^ (state & MASK_64);
    const bits = ((folded >> rotation) | (folded << ((64n - rotation) & 63n))) & MASK_64;
    upper = Number(bits >> 32n);
    return Number(bits & 0xffffffffn);
  };
}

/** The pool of four numbers that a seed is mixed into. */
function mixed(seed) {
  const entropy = [];
  for (let rest = BigInt(seed); rest > 0n || entropy.length === 0; rest >>= 32n) entropy.push(Number(rest & 0xffffffffn));
  let constant = 0x43b0d7e5;
  const hashed = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x, y) => {
    const result = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
    return result ^ (result >>> 16);
  };
  const pool = Array.from({ length: POOL }, (_, i) => hashed(entropy[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hashed(pool[from]));
  }
  for (const more of entropy.slice(POOL)) {
    for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hashed(more));
  }
  return pool;
}

/** Four numbers of 64 bits from a pool. */
function words64(pool) {
  let constant = 0x8b51f9dd;
  const words = Array.from({ length: 8 }, (_, i) => {
    let value = pool[i % POOL] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return BigInt((value ^ (value >>> 16)) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => (words[i + 1] << 32n) | words[i]);
}
