/** Answers from the files that were kept. A new build has another version, and takes the place of the old one whole. */

const listed = fetch("files.json", { cache: "no-store" }).then((response) => response.json());

self.addEventListener("install", (event) => {
  event.waitUntil(
    listed.then(async ({ version, files }) => {
      const cache = await caches.open(version);
      await cache.addAll(["./", ...files]);
      await self.skipWaiting();
    }),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const { version } = await listed;
      const names = (await caches.keys()).filter((name) => name.startsWith("rnnkit-") && name !== version);
      await Promise.all(names.map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept ?? fetch(event.request)));
});
