/** Measures the steps of a stream and sends the times to the server of this page. Used by `rnnkit bench web`. */

const query = new URLSearchParams(location.search);
const count = (name) => Number(query.get(name));

async function measured() {
  // The page names the files of onnxruntime-web, so this page borrows its list.
  const page = new DOMParser().parseFromString(await (await fetch("index.html")).text(), "text/html");
  document.body.append(page.getElementById("onnxruntime"));
  const { allModels } = await import("./playground/models/local_model.js");
  const [model] = await allModels();
  return model.measure({ features: count("features"), blocks: count("blocks"), block: count("block"), warm: count("warm") });
}

const answer = await measured().then(
  (milliseconds) => ({ milliseconds, browser: /(Chrome|Firefox)\/[\d.]+/.exec(navigator.userAgent)?.[0] ?? navigator.userAgent }),
  (error) => ({ error: error.message }),
);
document.getElementById("result").textContent = JSON.stringify(answer);
await fetch("result", { method: "POST", body: JSON.stringify(answer) });
