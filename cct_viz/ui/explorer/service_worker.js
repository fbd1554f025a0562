// Keeps the site's files, so that it opens with no network. VERSION and FILES stand before this; a changed file makes a
// new version, which is fetched whole and takes over when the page is opened again.

addEventListener("install", (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })))));
});

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name)))));
});

addEventListener("fetch", (event) => {
  const page = event.request.mode === "navigate";
  event.respondWith(caches.open(VERSION).then((cache) => cache.match(page ? "./" : event.request)).then((kept) => kept ?? fetch(event.request)));
});
