"use strict";

const at = (id) => document.getElementById(id);
let models = [];
let model = null;
let running = null;

function tell(sentence) {
  at("status").textContent = sentence;
  at("status").hidden = !sentence;
}

async function ask(path, body, signal) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["content-type"] = "application/json";
  }
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const found = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
    if (answer.status === 401) at("entry").hidden = false;
    throw new Error(found.error);
  }
  return answer;
}

const address = (what) => `/v2/models/${encodeURIComponent(model.name)}/${what}`;

async function attempt(work) {
  tell("");
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
  }
}

// ------------------------------------------------------------ models

async function load() {
  models = (await (await ask("/v2/models")).json()).models;
  at("entry").hidden = true;
  at("model").replaceChildren(...models.map((each) => new Option(each.name)));
  if (!models.length) throw new Error("There is no model in the folder that is served.");
  choose();
}

function choose() {
  model = models.find((each) => each.name === at("model").value) || models[0];
  const shapes = (tensors) => tensors.map((t) => `${t.name} [${t.shape.map((n) => (n < 0 ? "?" : n))}]`).join(", ");
  at("about").textContent = `${shapes(model.inputs)} → ${shapes(model.outputs)}`;
  const series = model.streams && model.inputs.length === 1 && model.inputs[0].datatype.startsWith("FP")
    && model.inputs[0].shape.length === 3;
  at("writing").hidden = !model.generates;
  at("units").hidden = !(model.generates && model.states.length);
  at("series").hidden = !series;
  at("translating").hidden = !model.translates;
  at("tensor").hidden = model.generates || model.translates || series;
  at("state").replaceChildren(...model.states.map((s) => new Option(`${s.name} (${s.size})`, s.name)));
  if (model.states.length) at("state").value = model.states.at(-1).name;
  at("text").replaceChildren();
  at("coloured").replaceChildren();
  at("pace").textContent = "";
  if (series && !at("numbers").value) {
    at("numbers").value = Array.from({ length: 80 }, (_, t) => (Math.sin(t / 5) + 0.3 * Math.sin(t / 2)).toFixed(3)).join(", ");
  }
  at("request").value = JSON.stringify({ inputs: model.inputs.map(filled) }, null, 1);
  tell("");
}

function filled(tensor) {
  const shape = tensor.shape.map((n, axis) => (n > 0 ? n : axis === 0 ? 1 : 5));
  const size = shape.reduce((a, b) => a * b, 1);
  return { name: tensor.name, datatype: tensor.datatype, shape, data: Array(size).fill(tensor.datatype === "BOOL" ? true : 1) };
}

// ------------------------------------------------------------ text

function wishes() {
  return {
    text_input: at("prompt").value,
    max_tokens: Number(at("count").value),
    temperature: Number(at("temperature").value),
    top_p: Number(at("top_p").value),
    seed: Number(at("seed").value),
  };
}

async function write() {
  const beam = Number(at("beam").value);
  const given = document.createElement("span");
  given.className = "given";
  given.textContent = at("prompt").value;
  at("text").replaceChildren(given);
  running = new AbortController();
  at("stop").disabled = false;
  at("write").disabled = true;
  try {
    if (beam > 1) {
      const found = await (await ask(address("generate"), { ...wishes(), beam }, running.signal)).json();
      at("text").append(found.text_output);
      at("pace").textContent = `the best of ${found.hypotheses.length}: ${found.score.toFixed(2)} nats`;
    } else {
      await stream();
    }
  } finally {
    at("stop").disabled = true;
    at("write").disabled = false;
    running = null;
  }
}

async function stream() {
  const began = performance.now();
  const reader = (await ask(address("generate_stream"), wishes(), running.signal)).body
    .pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let count = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n\n");
    rest = lines.pop();
    let piece = "";
    for (const line of lines) {
      const found = JSON.parse(line.slice("data: ".length));
      if (found.error) throw new Error(found.error);
      piece += found.text_output;
      count += 1;
    }
    at("text").append(piece);
    const seconds = (performance.now() - began) / 1000;
    at("pace").textContent = `${count} tokens in ${seconds.toFixed(2)} s, ${Math.round(count / seconds)} a second`;
  }
}

async function colour() {
  const body = { text_input: at("text").textContent || at("prompt").value, state: at("state").value };
  if (at("unit").value !== "") body.unit = Number(at("unit").value);
  const found = await (await ask(address("activations"), body)).json();
  at("unit").placeholder = `${found.unit} of ${found.units}`;
  const most = Math.max(...found.values.map(Math.abs), 1e-9);
  at("coloured").replaceChildren(...found.tokens.map((token, i) => {
    const span = document.createElement("span");
    const share = Math.round((85 * Math.abs(found.values[i])) / most);
    span.textContent = found.tokens.length > 1 && model.unit === "word" ? `${token} ` : token;
    span.style.backgroundColor = `color-mix(in srgb, ${found.values[i] < 0 ? "#3b6fd4" : "#d4463b"} ${share}%, transparent)`;
    span.title = found.values[i].toFixed(3);
    return span;
  }));
}

// ------------------------------------------------------------ translations

async function translate() {
  const found = await (await ask(address("generate"), { text_input: at("source").value })).json();
  const targets = found.hypotheses || [{ text: found.text_output, score: found.score }];
  at("targets").replaceChildren(...targets.map((each) => {
    const item = document.createElement("li");
    item.textContent = `${each.text}  (${each.score.toFixed(2)} nats)`;
    return item;
  }));
  at("looks").replaceChildren(...(found.attention ? heatmap(found.attention) : []));
}

function heatmap({ source, target, weights }) {
  const row = (cells) => {
    const line = document.createElement("tr");
    line.append(...cells);
    return line;
  };
  const cell = (kind, text, weight) => {
    const field = document.createElement(kind);
    field.textContent = text;
    if (weight !== undefined) {
      field.style.backgroundColor = `color-mix(in srgb, #3b6fd4 ${Math.round(100 * weight)}%, transparent)`;
      field.title = weight.toFixed(3);
    }
    return field;
  };
  const head = row([cell("th", ""), ...source.map((token) => cell("th", token))]);
  return [head, ...target.map((token, i) => row([cell("th", token), ...weights[i].map((w) => cell("td", "", w))]))];
}

// ------------------------------------------------------------ series

async function forecast() {
  const series = at("numbers").value.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (series.some(Number.isNaN)) throw new Error("The series is numbers, with commas between them.");
  const found = await (await ask(address("forecast"), { series, steps: Number(at("steps").value) })).json();
  draw(series, found.forecast);
}

function draw(series, ahead) {
  const canvas = at("plot");
  const pen = canvas.getContext("2d");
  const all = [...series, ...ahead];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const x = (i) => 20 + (i * (canvas.width - 40)) / Math.max(1, all.length - 1);
  const y = (v) => canvas.height - 20 - ((v - low) * (canvas.height - 40)) / (high - low || 1);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const line = (values, first, colour) => {
    pen.beginPath();
    pen.strokeStyle = colour;
    pen.lineWidth = 3;
    values.forEach((v, i) => pen.lineTo(x(first + i), y(v)));
    pen.stroke();
  };
  line(series, 0, "#6b7785");
  line([series.at(-1), ...ahead], series.length - 1, "#d4463b");
}

// ------------------------------------------------------------ tensors

async function send() {
  const found = await (await ask(address("infer"), JSON.parse(at("request").value))).json();
  at("answer").textContent = JSON.stringify(found, null, 1);
}

// ------------------------------------------------------------ begin

at("model").addEventListener("change", choose);
at("write").addEventListener("click", () => attempt(write));
at("stop").addEventListener("click", () => running && running.abort());
at("colour").addEventListener("click", () => attempt(colour));
at("translate").addEventListener("click", () => attempt(translate));
at("forecast").addEventListener("click", () => attempt(forecast));
at("send").addEventListener("click", () => attempt(send));
at("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  attempt(load);
});
attempt(load);
