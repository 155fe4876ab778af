/** The parts that need no onnxruntime, against what Python computed. Run by tests/web/test_javascript.py. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Beam, Greedy, Sampling, Vocabulary, noise } from "../../keras_rnnkit/web/rnnkit.js";
import { asKind } from "../../keras_rnnkit/web/runtime/arrays.js";
import { tokenSteps, lastOf } from "../../keras_rnnkit/web/runtime/generation.js";
import { described } from "../../keras_rnnkit/web/runtime/onnx_file.js";
import { digest } from "../../keras_rnnkit/web/runtime/sha256.js";

const cases = JSON.parse(readFileSync(process.env.RNNKIT_CASES));

test("noise is NumPy's", () => {
  for (const { seed, rows, steps, numbers } of cases.noise) {
    assert.deepEqual([...noise(seed, rows, steps)], numbers.map(Math.fround));
  }
});

test("sha256 of a page without TLS", () => {
  for (const { hex, sha256 } of cases.hashes) assert.equal(Buffer.from(digest(Buffer.from(hex, "hex"))).toString("hex"), sha256);
});

test("vocabularies split and join as in Python", () => {
  for (const { file, texts, tokens, decoded } of cases.vocabularies) {
    const vocabulary = Vocabulary.parsed(file, "vocabulary.json");
    texts.forEach((text, i) => {
      assert.deepEqual(vocabulary.encode(text), tokens[i], text);
      assert.equal(vocabulary.decode(tokens[i]), decoded[i]);
    });
  }
});

test("a vocabulary without <unk> says which tokens it does not know", () => {
  assert.throws(() => Vocabulary.parsed(cases.plain_vocabulary, "v").encode("to be Q"), { message: cases.unknown_token });
});

const made = ({ kind, ...options }) => new { greedy: Greedy, sampling: Sampling, beam: Beam }[kind](options);

test("strategies pick the tokens that they pick in Python, over many seeds", async () => {
  let compared = 0;
  for (const { strategy, seed, rows, steps, end, forbidden, follow, first, tokens, scores, lengths } of cases.loops) {
    const own = made(strategy).forbidding(forbidden);
    const table = follow.map((row) => Float32Array.from(row));
    const step = async (tokens, { scale: { data, dims } }) => {
      const scale = { type: "float32", dims, data: data.map((number) => number + 0.125) };
      return { logits: tokens.map((token, row) => table[token].map((logit) => logit * scale.data[row])), states: { scale } };
    };
    const ones = { type: "float32", dims: [rows, 1], data: new Float32Array(rows).fill(1) };
    const start = { logits: first.map((token) => table[token]), states: { scale: ones } };
    const random = own.needsNoise ? noise(seed, rows, steps) : null;
    const { carry, tokens: found } = await lastOf(tokenSteps(step, start, own, steps, random, end));
    own.ranked(carry).forEach((results, b) =>
      results.forEach(({ row, score, length }, k) => {
        assert.deepEqual(found[row], tokens[b][k], JSON.stringify({ strategy, seed }));
        assert.equal(length, lengths[b][k]);
        assert.ok(Math.abs(score - scores[b][k]) <= 1e-5 * Math.max(1, Math.abs(score)), `${score} ${scores[b][k]}`);
        compared++;
      }),
    );
  }
  assert.ok(compared >= 100);
});

test("what an ONNX file says of itself", () => {
  for (const { path, facts, inputs, outputs, token_counts } of cases.files) {
    const found = described(new Uint8Array(readFileSync(path)));
    assert.deepEqual(found.facts, facts);
    assert.deepEqual(found.inputs, inputs);
    assert.deepEqual(found.outputs.map(({ name }) => name), outputs);
    assert.deepEqual(found.tokenCounts, token_counts);
  }
});

test("values that do not fit get a sentence", () => {
  const refused = (value, kind, message) => assert.throws(() => asKind("x", value, kind), { name: "InputError", message });
  refused([[1, 2], [3]], "float32", "The input 'x' must be an array of float32. Received: rows of different lengths.");
  refused([1.5], "int32", "The input 'x' must be an array of int32. Received: 1.5.");
  refused([300], "uint8", "The input 'x' must be an array of uint8. Received: 300, which uint8 cannot hold.");
  refused(["a"], "float32", "The input 'x' must be an array of float32. Received: 'a'.");
  refused([1e39], "float32", "The input 'x' must be an array of float32. Received: 1e+39, which float32 cannot hold.");
  assert.deepEqual(asKind("x", [[1, 2], [3, 4]], "int64"), { type: "int64", dims: [2, 2], data: BigInt64Array.of(1n, 2n, 3n, 4n) });
});

test("settings that cannot be get the sentences of Python", () => {
  for (const { strategy, message } of cases.refusals) assert.throws(() => made(strategy), { message });
});
