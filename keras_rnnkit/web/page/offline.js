/** Keeps the files of the page, so that it works without a network once it was loaded, and says how large they are. */

const line = document.getElementById("local");

/** Bytes for people. */
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function keep() {
  const began = performance.now();
  const { bytes } = await (await fetch("files.json")).json();
  line.textContent += ` The page and its models have ${size(bytes)}.`;
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register("service_worker.js");
  await navigator.serviceWorker.ready;
  const seconds = (performance.now() - began) / 1000;
  line.textContent += ` They can be used without a network${seconds > 0.2 ? `, after ${seconds.toFixed(1)} s of loading` : ""}.`;
}

keep().catch((error) => (line.textContent += ` The page needs a network: its files could not be kept (${error.message}).`));
