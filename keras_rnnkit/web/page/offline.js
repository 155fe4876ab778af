/** Keeps the files of the page, so that it works without a network once it was loaded, and says how large they are. */

const line = document.getElementById("offline");
const update = document.getElementById("update");

/** Bytes for people. */
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function keep() {
  const { bytes } = await (await fetch("files.json")).json();
  line.textContent = `The page with its models has ${size(bytes)}.`;
  if (!("serviceWorker" in navigator)) {
    line.textContent += " It needs a network, as browsers keep pages of https only.";
    return;
  }
  const registration = await navigator.serviceWorker.register("service_worker.js");
  if (registration.active) offer(registration);
  else await installed(registration.installing);
  line.textContent += " It can be used without a network.";
}

/** @returns {Promise<void>} until a service worker has kept all files; an error if it could not keep one */
function installed(worker) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("a file is missing, or is not the one that was built"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Lets a visitor change to a new version of the page, once all of its files were kept. */
function offer(registration) {
  const look = () => {
    if (!registration.waiting) return;
    update.hidden = false;
    update.onclick = () => registration.waiting.postMessage("take over");
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
  };
  registration.addEventListener("updatefound", () => registration.installing.addEventListener("statechange", look));
  look();
}

keep().catch((error) => (line.textContent += ` It needs a network: its files could not be kept (${error.message}).`));
