/** One request as a command, as Python and as JavaScript. */

import { chunkOf } from "./examples.js";

export const LANGUAGES = ["curl", "Python", "JavaScript"];

/**
 * @param {string} language one of LANGUAGES
 * @param {{path: string, method: string, body: any, answer: string, secured: boolean,
 *   websocket: boolean, model: object}} request
 */
export function snippet(language, request) {
  const table = request.websocket ? SOCKETS : REQUESTS;
  return table[language]({ ...request, streams: request.answer === "events", url: `${location.origin}${request.path}` });
}

const REQUESTS = {
  curl({ url, method, body, secured, streams }) {
    const lines = [`curl ${streams ? "-N " : ""}${method === "GET" || body ? "" : `-X ${method} `}'${url}'`];
    if (secured) lines.push(`-H "Authorization: Bearer $RNNKIT_TOKEN"`);
    if (body) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
    return lines.join(" \\\n  ");
  },
  Python({ url, method, body, secured, streams, answer }) {
    const options = body ? [`json=${pythonOf(body)}`] : [];
    if (secured) options.push('headers={"Authorization": f"Bearer {os.environ[\'RNNKIT_TOKEN\']}"}');
    const call = [`"${url}"`, ...options].join(",\n    ");
    const head = `${secured ? "import os\n\n" : ""}import httpx\n\n`;
    if (streams) {
      return `${head}with httpx.stream("${method}", ${call}) as response:\n    for line in response.iter_lines():\n        if line:\n            print(line.removeprefix("data: "))`;
    }
    const result = { json: "json()", text: "text", none: "status_code" }[answer];
    return `${head}response = httpx.${method.toLowerCase()}(\n    ${call},\n)\nprint(response.${result})`;
  },
  JavaScript({ url, method, body, secured, streams, answer }) {
    const headers = [body ? '"Content-Type": "application/json"' : null, secured ? "Authorization: `Bearer ${token}`" : null].filter(Boolean);
    const options = [
      method === "GET" ? null : `method: "${method}"`,
      headers.length ? `headers: { ${headers.join(", ")} }` : null,
      body ? `body: JSON.stringify(${JSON.stringify(body)})` : null,
    ].filter(Boolean);
    const call = options.length ? `"${url}", {\n  ${options.join(",\n  ")},\n}` : `"${url}"`;
    const rest = streams
      ? "for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) console.log(chunk);"
      : `console.log(${{ json: "await response.json()", text: "await response.text()", none: "response.status" }[answer]});`;
    return `const response = await fetch(${call});\n${rest}`;
  },
};

const SOCKETS = {
  curl({ url, secured, model }) {
    const header = secured ? ' -H "Authorization: Bearer $RNNKIT_TOKEN"' : "";
    return `# curl has no messages for WebSockets; websocat sends a line as one\necho '${JSON.stringify({ inputs: chunkOf(model) })}' |\n  websocat${header} '${socketUrl(url)}'`;
  },
  Python({ url, secured, model }) {
    const header = secured ? ', additional_headers={"Authorization": f"Bearer {os.environ[\'RNNKIT_TOKEN\']}"}' : "";
    return [
      ...(secured ? ["import os"] : []), "import json", "", "from websockets.sync.client import connect", "",
      `with connect("${socketUrl(url)}"${header}) as stream:`,
      "    print(json.loads(stream.recv()))  # the model, its inputs and outputs",
      `    stream.send(json.dumps({"inputs": ${pythonOf(chunkOf(model))}}))`,
      '    print(json.loads(stream.recv())["outputs"])',
    ].join("\n");
  },
  JavaScript({ url, model }) {
    return [
      `const stream = new WebSocket("${socketUrl(url)}");`,
      "stream.onmessage = ({ data }) => console.log(JSON.parse(data));",
      `stream.onopen = () => stream.send(JSON.stringify({ inputs: ${JSON.stringify(chunkOf(model))} }));`,
    ].join("\n");
  },
};

const socketUrl = (url) => url.replace(/^http/, "ws");

/** JSON as Python writes it. */
function pythonOf(value) {
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${pythonOf(inner)}`).join(", ")}}`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return value === null ? "None" : JSON.stringify(value);
}
