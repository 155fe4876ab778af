/** Calls to the worker that runs the models: an answer, or several that come one after the other. */

import { onnxruntimeFiles } from "../../rnnkit/page/onnxruntime.js";

const worker = new Worker(new URL("../../worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let calls = 0;
/** Why no model can run, once that is so. */
let broken = "";

worker.onmessage = ({ data: { call, ...message } }) => waiting.get(call)?.(message);
worker.onerror = (event) => fail(`The models cannot run here: ${event.message ?? "worker.js, or a file that it imports, could not be loaded"}.`);

onnxruntimeFiles().then(
  (files) => worker.postMessage({ onnxruntime: files }, Object.values(files)),
  (error) => fail(error.message),
);

/** All calls end with this sentence, those to come as well. */
function fail(sentence) {
  broken ||= sentence;
  for (const answer of [...waiting.values()]) answer({ error: broken });
}

const stopped = () => new DOMException("Stopped", "AbortError");

/** The messages that answer a call; the worker ends the call when the signal is aborted. */
async function* answers(method, parameters, signal) {
  if (signal?.aborted) throw stopped();
  if (broken) throw new Error(broken);
  const call = ++calls;
  const queue = [];
  let wake = (/** @type {any} */ _ = null) => {};
  waiting.set(call, (message) => {
    queue.push(message);
    wake();
  });
  const end = () => {
    worker.postMessage({ call, stop: true });
    queue.push({ stop: true });
    wake();
  };
  signal?.addEventListener("abort", end);
  worker.postMessage({ call, method, parameters });
  try {
    for (;;) {
      if (!queue.length) await new Promise((resolve) => (wake = resolve));
      const message = queue.shift();
      if (message.stop) throw stopped();
      if (message.error) throw new Error(message.error);
      if ("value" in message) yield message.value;
      if (message.done) {
        waiting.delete(call);
        return;
      }
    }
  } finally {
    signal?.removeEventListener("abort", end);
    if (waiting.delete(call)) worker.postMessage({ call, stop: true });
  }
}

/** What the worker answers. */
export async function ask(method, parameters, signal) {
  for await (const value of answers(method, parameters, signal)) return value;
  return undefined;
}

/** What the worker answers, piece by piece. */
export const asked = answers;
