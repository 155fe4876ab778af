/**
 * Answers from the files that were kept, so that the page works without a network. `rnnkit web` writes the list of files
 * before this line. A build with other files has another list, so browsers see a new service worker: it keeps the new
 * files beside the old ones, all or none of them, and takes over as a whole when the visitor asks for it, or at the
 * first visit after all tabs were closed.
 *
 * @typedef {{version: string, files: Record<string, string>, network: {address: string, integrity: string}[]}} Listing
 */

const { version, files, network } = /** @type {Listing} */ (self["listing"]);

/** The page itself is kept under the address of its folder: some servers send a visitor on from index.html to there. */
const addressOf = (name) => (name === "index.html" ? "./" : name);
const requests = [
  ...Object.entries(files).map(([name, integrity]) => new Request(addressOf(name), { integrity, cache: "no-cache" })),
  ...network.map(({ address, integrity }) => new Request(address, { integrity })),
];

self.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(
    caches.open(version).then((cache) =>
      cache.addAll(requests).catch(async (error) => {
        await caches.delete(version);
        throw error;
      }),
    ),
  );
});

self.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(
    (async () => {
      const others = (await caches.keys()).filter((name) => name.startsWith("rnnkit-") && name !== version);
      await Promise.all(others.map((name) => caches.delete(name)));
      await /** @type {any} */ (self).clients.claim();
    })(),
  );
});

self.addEventListener("message", ({ data }) => data === "take over" && /** @type {any} */ (self).skipWaiting());

self.addEventListener("fetch", (/** @type {any} */ event) => {
  if (event.request.method === "GET") event.respondWith(answerTo(event.request));
});

async function answerTo(request) {
  const { pathname } = new URL(request.url);
  const asked = pathname.endsWith("/index.html") ? "./" : request;
  const kept = await (await caches.open(version)).match(asked, { ignoreSearch: true });
  return kept ?? fetch(request);
}
