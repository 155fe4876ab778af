/** Bundles under onnxruntime-web, against what Python computed. Run by tests/web/test_javascript.py. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, cpSync, writeFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Beam, BundleError, Greedy, InputError, Sampling, load } from "../../keras_rnnkit/web/rnnkit.js";

const cases = JSON.parse(readFileSync(process.env.RNNKIT_CASES));
const ort = await import(pathToFileURL(join(process.env.RNNKIT_ORT, "dist", "ort.node.min.mjs")));
ort.env.wasm.numThreads = 1;

const filesOf = (folder) => async (name) => {
  try {
    return new Uint8Array(readFileSync(join(folder, name)));
  } catch (error) {
    throw new BundleError(`The bundle '${folder}' has no file '${name}': ${error.code}.`);
  }
};
const open = (name, options) => load(filesOf(cases.bundles[name]), { ort, ...options });
const near = (tensor, expected, tolerance = 1e-5) => {
  const numbers = expected.flat(Infinity);
  assert.equal(tensor.data.length, numbers.length);
  numbers.forEach((number, i) => assert.ok(Math.abs(Number(tensor.data[i]) - number) <= tolerance, `${tensor.data[i]} ${number}`));
};
const made = ({ kind, ...options }) => new { greedy: Greedy, sampling: Sampling, beam: Beam }[kind](options);

test("whole sequences", async () => {
  const bundle = await open("reader");
  near(await bundle.predict(cases.predict.x), cases.predict.y);
  await bundle.release();
});

test("a stream in chunks of any length is the whole, and goes back to a snapshot", async () => {
  const bundle = await open("reader");
  for (const lengths of [[1, 1, 1, 1, 1, 1], [4, 2], [1, 5], [6]]) {
    const stream = await bundle.stream({ rows: 2 });
    let begin = 0;
    for (const length of lengths) {
      const chunk = cases.predict.x.map((row) => row.slice(begin, begin + length));
      const expected = cases.predict.y.map((row) => row.slice(begin, begin + length));
      const snapshot = stream.snapshot();
      near(await stream.push(chunk), expected);
      stream.restore(snapshot);
      near(await stream.push(chunk), expected);
      begin += length;
    }
    stream.reset([1]);
    const again = await stream.push(cases.predict.x.map((row) => row.slice(0, 1)));
    near({ data: again.data.slice(again.data.length / 2) }, cases.predict.y[1].slice(0, 1));
  }
  await bundle.release();
});

test("generation, token for token, over the seeds and strategies of Python", async () => {
  const bundle = await open("letters");
  for (const { prompt, options, strategy, tokens, scores, text } of cases.generate) {
    const { steps, seed, temperature, top_k: topK, top_p: topP, end } = options;
    const given = strategy ? { strategy: made(strategy), end } : { temperature, topK, topP };
    const found = await bundle.generate(prompt, { steps, seed, ...given });
    assert.deepEqual(found.tokens, tokens, JSON.stringify({ prompt, options, strategy }));
    found.scores.flat().forEach((score, i) => assert.ok(Math.abs(score - scores.flat()[i]) < 1e-4 * Math.max(1, Math.abs(score))));
    assert.equal(bundle.text(found), text);
    if (strategy && strategy.kind !== "beam" && typeof prompt === "string") {
      const streamed = [];
      for await (const token of bundle.tokens(prompt, { steps, seed, ...given })) streamed.push(token);
      assert.deepEqual(streamed, tokens[0][0]);
    }
  }
  await bundle.release();
});

test("translation with attention", async () => {
  const bundle = await open("translator");
  for (const { source, options, strategy, translations } of cases.translate) {
    const found = await bundle.translate(source, { ...options, ...(strategy ? { strategy: made(strategy) } : {}) });
    assert.equal(found.length, translations.length);
    found.forEach((translation, k) => {
      const expected = translations[k];
      assert.equal(translation.text, expected.text);
      assert.deepEqual(translation.tokens, expected.tokens);
      assert.ok(Math.abs(translation.score - expected.score) < 1e-4);
      near({ data: translation.attention.flat() }, expected.attention);
    });
  }
  await bundle.release();
});

test("wrong inputs get the sentences of Python", async () => {
  const bundle = await open("reader");
  for (const { value, message } of cases.wrong_inputs) {
    await assert.rejects(bundle.predict(value), (error) => error instanceof InputError && error.message === message);
  }
  await assert.rejects(bundle.generate([1]), { name: "BundleError" });
  await assert.rejects(bundle.translate("a"), { name: "BundleError" });
  await bundle.release();
});

test("a bundle that was changed, cut off, or written by another version is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rnnkit"));
  const fresh = () => {
    rmSync(folder, { recursive: true });
    cpSync(cases.bundles.reader, folder, { recursive: true });
  };
  fresh();
  const graph = join(folder, "sequence.onnx");
  const content = readFileSync(graph);
  writeFileSync(graph, content.subarray(0, content.length - 1));
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict.x), /changed, or cut off/);
  content[content.length >> 1] ^= 1;
  writeFileSync(graph, content);
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict.x), /changed, or cut off/);
  rmSync(graph);
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict.x), /has no file 'sequence.onnx'/);
  for (const [change, message] of [
    [(manifest) => ({ ...manifest, format: 2 }), /has format 2; this keras_rnnkit reads format 1/],
    [(manifest) => ({ ...manifest, files: { ...manifest.files, "../x": manifest.files["sequence.onnx"] } }), /lies outside/],
    [({ files, ...manifest }) => manifest, /must have 'graphs' and 'files'/],
    [() => "{", /is not that of a bundle/],
  ]) {
    fresh();
    const manifest = change(JSON.parse(readFileSync(join(folder, "manifest.json"))));
    writeFileSync(join(folder, "manifest.json"), typeof manifest === "string" ? manifest : JSON.stringify(manifest));
    await assert.rejects(load(filesOf(folder), { ort }), { name: "BundleError", message });
  }
  rmSync(folder, { recursive: true });
});

test("memory stays flat over many steps of a stream", async () => {
  const bundle = await open("reader");
  const stream = await bundle.stream({ rows: 1 });
  const chunk = cases.predict.x.slice(0, 1).map((row) => row.slice(0, 1));
  const push = async (count) => {
    for (let i = 0; i < count; i++) await stream.push(chunk);
    globalThis.gc?.();
    return process.memoryUsage().rss;
  };
  const sizes = [];
  for (let turn = 0; turn < 5; turn++) sizes.push(await push(2000));
  const growth = sizes[4] - sizes[1]; // over 6,000 steps, after the machine code of the first turns was compiled
  assert.ok(growth < 6000 * 500, `${sizes} bytes`);
  await bundle.release();
});
