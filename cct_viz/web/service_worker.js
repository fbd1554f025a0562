// Keeps the site's files, so that it opens with no network. VERSION and FILES stand before this; a changed file makes a
// new version, which is fetched whole and takes over at once: the next load of the page is the new one. An open page
// needs nothing of the old version.

const OWN = `${registration.scope} `,
  NAME = OWN + VERSION; // other sites of this address have caches of their own
const PAGES = [registration.scope, `${registration.scope}index.html`]; // other pages may lie in the same folder

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(
    caches.open(NAME).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })))),
  );
});

addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith(OWN) && name !== NAME;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name)))));
});

addEventListener("fetch", (event) => {
  const address = new URL(event.request.url),
    isPage = PAGES.includes(address.origin + address.pathname); // whatever its query
  const wanted = event.request.mode === "navigate" && isPage ? "./" : event.request;
  event.respondWith(
    caches
      .open(NAME)
      .then((cache) => cache.match(wanted))
      .then((kept) => kept ?? fetch(event.request)),
  );
});
