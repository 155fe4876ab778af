/**
 * Bundles under onnxruntime-web, against what Python computed: the same checks in Node and in a browser.
 *
 * Each check is a function of `{ cases, open, api }`: what Python recorded, `open(name, options)` for a bundle by its name,
 * and the exports of rnnkit.js. It throws where something differs.
 */

const must = (is, message) => {
  if (!is) throw new Error(message);
};
const same = (found, expected, message = "") => {
  const texts = [found, expected].map((value) => JSON.stringify(value));
  must(texts[0] === texts[1], `${message} ${texts[0]} is not ${texts[1]}`);
};
const near = (tensor, expected, tolerance = 1e-5) => {
  const numbers = expected.flat(Infinity);
  must(tensor.data.length === numbers.length, `${tensor.data.length} numbers are not ${numbers.length}`);
  numbers.forEach((number, i) => must(Math.abs(Number(tensor.data[i]) - number) <= tolerance, `${tensor.data[i]} is not ${number}`));
};
const refused = async (promise, name, message = null) => {
  const error = await promise.then(() => null, (reason) => reason);
  must(error?.name === name && (message === null || error.message === message), `${error} is not ${name}: ${message}`);
};
const strategyOf = ({ Greedy, Sampling, Beam }, { kind, ...options }) => new { greedy: Greedy, sampling: Sampling, beam: Beam }[kind](options);
const cut = (rows, begin, end) => rows.map((row) => row.slice(begin, end));

export const checks = {
  async "whole sequences"({ cases, open }) {
    for (const { bundle: name, quantized, x, y } of cases.predict) {
      const bundle = await open(name, { quantized });
      near(await bundle.predict(x), y);
      await bundle.release();
    }
  },

  async "a stream in random chunks is the whole, and goes back to a snapshot"({ cases, open }) {
    for (const { bundle: name, quantized, x, y, chunks } of cases.predict) {
      const bundle = await open(name, { quantized });
      for (const lengths of chunks) {
        const stream = await bundle.stream({ rows: x.length });
        let begin = 0;
        for (const length of lengths) {
          const [chunk, expected] = [cut(x, begin, begin + length), cut(y, begin, begin + length)];
          const snapshot = stream.snapshot();
          near(await stream.push(chunk), expected);
          stream.restore(snapshot);
          near(await stream.push(chunk), expected);
          begin += length;
        }
        stream.reset([1]);
        const again = await stream.push(cut(x, 0, 1));
        near({ data: again.data.slice(again.data.length / 2) }, y[1].slice(0, 1));
      }
      await bundle.release();
    }
  },

  async "generation, token for token, over the seeds and strategies of Python"({ cases, open, api }) {
    for (const quantized of [null, "int8"]) {
      const bundle = await open("letters", { quantized });
      for (const { prompt, options, strategy, tokens, scores, text } of cases.generate.filter((each) => each.quantized === quantized)) {
        const { steps, seed, temperature, top_k: topK, top_p: topP, end } = options;
        const given = strategy ? { strategy: strategyOf(api, strategy), end } : { temperature, topK, topP };
        const found = await bundle.generate(prompt, { steps, seed, ...given });
        same(found.tokens, tokens, JSON.stringify({ prompt, options, strategy, quantized }));
        found.scores.flat().forEach((score, i) => must(Math.abs(score - scores.flat()[i]) < 1e-4 * Math.max(1, Math.abs(score)), `${score}`));
        same(bundle.text(found), text);
        if (strategy && strategy.kind !== "beam" && typeof prompt === "string") {
          const streamed = [];
          for await (const token of bundle.tokens(prompt, { steps, seed, ...given })) streamed.push(token);
          same(streamed, tokens[0][0]);
        }
      }
      await bundle.release();
    }
  },

  async "translation with attention"({ cases, open, api }) {
    const bundle = await open("translator");
    for (const { source, options, strategy, translations } of cases.translate) {
      const found = await bundle.translate(source, { ...options, ...(strategy ? { strategy: strategyOf(api, strategy) } : {}) });
      must(found.length === translations.length, "another number of translations");
      found.forEach((translation, k) => {
        const expected = translations[k];
        same([translation.text, translation.tokens], [expected.text, expected.tokens]);
        must(Math.abs(translation.score - expected.score) < 1e-4, `${translation.score} is not ${expected.score}`);
        near({ data: translation.attention.flat() }, expected.attention);
      });
    }
    await bundle.release();
  },

  async "wrong inputs get the sentences of Python"({ cases, open }) {
    const bundle = await open("reader");
    for (const { value, message } of cases.wrong_inputs) await refused(bundle.predict(value), "InputError", message);
    await refused(bundle.generate([1]), "BundleError");
    await refused(bundle.translate("a"), "BundleError");
    await bundle.release();
  },
};

/** Run all checks; the names of those that passed, or an error that names the one that did not. */
export async function run(environment) {
  for (const [name, check] of Object.entries(checks)) {
    await check(environment).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
  }
  return Object.keys(checks);
}
