/** A stream over a WebSocket: the server keeps its state, a message is a chunk. */

import { flatten, nested, shapeOf } from "./arrays.js";

/** @returns {Promise<import("./model.js").Stream>} */
export async function openStream(address, signal) {
  const socket = new WebSocket(new URL(`${address}/stream`, location.href.replace(/^http/, "ws")));
  signal?.addEventListener("abort", () => socket.close());
  const greeting = await message(socket, signal);
  return {
    async push(inputs) {
      const lists = Object.fromEntries(inputs.map(({ name, shape, data }) => [name, nested(data, shape)]));
      socket.send(JSON.stringify({ inputs: lists }));
      const { outputs } = await message(socket, signal);
      return Object.entries(outputs).map(([name, list]) => ({
        name,
        datatype: greeting.outputs.find((output) => output.name === name)?.datatype ?? "FP32",
        shape: shapeOf(list),
        data: flatten(list),
      }));
    },
    close: () => socket.close(),
  };
}

/** The next message; an error if it holds one, or if the connection ends. */
function message(socket, signal) {
  return new Promise((resolve, reject) => {
    const ended = signal?.aborted ? new DOMException("Stopped", "AbortError") : new Error("The server ended the stream.");
    socket.onclose = () => reject(signal?.aborted ? new DOMException("Stopped", "AbortError") : ended);
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data);
      if (answer.error) reject(new Error(answer.error));
      else resolve(answer);
    };
  });
}
