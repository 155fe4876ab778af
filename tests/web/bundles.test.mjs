/** Bundles under onnxruntime-web, against what Python computed. Run by tests/web/test_javascript.py. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, cpSync, writeFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import * as api from "../../keras_rnnkit/web/rnnkit.js";
import { checks } from "./checks.mjs";

const { BundleError, load } = api;
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
for (const [name, check] of Object.entries(checks)) test(name, () => check({ cases, open, api }));

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
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict[0].x), /changed, or cut off/);
  content[content.length >> 1] ^= 1;
  writeFileSync(graph, content);
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict[0].x), /changed, or cut off/);
  rmSync(graph);
  await assert.rejects((await load(filesOf(folder), { ort })).predict(cases.predict[0].x), /has no file 'sequence.onnx'/);
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
  const chunk = cases.predict[0].x.slice(0, 1).map((row) => row.slice(0, 1));
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
