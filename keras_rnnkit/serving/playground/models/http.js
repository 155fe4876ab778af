/** Requests to the server, with its errors as sentences. */

export class RequestError extends Error {
  /** @param {number} status @param {string} sentence */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/**
 * The response to a request; a body makes it a POST.
 * @param {string} path
 * @param {any} [body]
 * @param {AbortSignal} [signal]
 */
export async function request(path, body, signal) {
  const options = { signal };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  }
  const response = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new RequestError(0, "The server cannot be reached. Check that it still runs.");
  });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new RequestError(response.status, answer.error ?? `The server answered with status ${response.status}.`);
  }
  return response;
}

/** The JSON that answers a request. */
export const json = async (path, body, signal) => (await request(path, body, signal)).json();

/** The events of a response of server-sent events, each as the JSON that it holds. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line.slice("data: ".length));
    }
  } finally {
    reader.cancel().catch(() => {}); // the reader may have been aborted already
  }
}
