// A page with models inside: any photo is named and explained where it is. No picture leaves the device.

import { createModels } from "./inside.js";
import { askedModel } from "./link.js";
import { mount } from "./main.js";
import { argmax } from "./maths.js";
import { carried, createRow, firstOf } from "./page.js";
import { createPhotoBar } from "./photo_bar.js";
import { preparePicture } from "./picture.js";
import { readPixels, waitFor } from "./pixels.js";
import { percent } from "./words.js";

const OWN = Symbol("the visitor's own photo"); // its key in the row; the others have their names

/**
 * A picture of the row. One that came with the page has what Python made of it with the first model; the visitor's own
 * has its source.
 * @typedef {{key: string | symbol, name: string, payload?: any, source?: Blob | HTMLCanvasElement}} Entry
 */

/** Fill the page. @param {{style: string, sources: Map<string, string>}} loaded */
export function openPage({ style, sources }) {
  const packed = carried("models"), models = createModels(packed), host = document.getElementById("explorer");
  const entries = new Map(carried("payloads").map(([name, payload]) => [name, { key: name, name, payload }]));
  const row = createRow((key) => show(entries.get(key)));
  const take = (source, name) => show({ key: OWN, name, source });
  const bar = createPhotoBar({ models: packed.map(({ name }) => name), take, choose, cancel });
  let shown = null, shownBy = 0, coming = null, latest = 0; // coming: what is under way, until it is shown or has failed

  /** Mount an explorer. `pixels` gives what the model was given, once somebody asks the model again. */
  function put(entry, payload, pixels) {
    const by = models.index;
    async function ask({ mask = null, pixels: painted = null }) {
      const given = painted ?? await pixels();
      if (models.index !== by) throw new DOMException("another model is chosen", "AbortError"); // its numbers are not of this payload
      return (await models.start()).answer(given, mask);
    }
    mount(host, payload, style, { inside: { ask, sources } });
    [shown, shownBy, coming] = [entry, by, null];
    bar.describe(models.about.facts);
    row.press(entry.key);
  }

  /** What the page came with is there at once; the rest is computed. @param {Entry} entry */
  async function show(entry) {
    const mine = ++latest;
    coming = entry;
    if (entry.payload && models.index === 0) {
      models.drop();
      put(entry, entry.payload, () => readPixels(entry.payload.pixels));
      bar.end();
      return;
    }
    try {
      bar.show(0, "the model starts");
      const { config, explain } = await models.start(), picture = await prepare(entry, config);
      if (mine !== latest) return;
      const onprogress = (done, all, next) => { if (mine === latest) bar.show(done / all, next); };
      const payload = await explain(picture, { ...models.about, picture: entry.name, link: entry.key === OWN ? "" : null }, { onprogress });
      if (mine !== latest) return;
      if (entry.key === OWN) {
        entries.set(OWN, entry);
        row.put(OWN, entry.name, picture.pixelsAddress);
      }
      put(entry, payload, () => picture.pixels);
      bar.end(inWords(host.explorer.data));
    } catch (error) {
      if (mine === latest && error.name !== "AbortError") stay((words) => bar.fail(error, words));
    }
  }

  function choose(index) {
    models.choose(index);
    show(coming ?? shown);
  }

  function cancel() {
    latest++;
    models.drop();
    stay((words) => bar.end(`Stopped. ${words}`));
  }

  /** Go on with what is shown, and with the model that made it. */
  function stay(tell) {
    coming = null;
    models.choose(shownBy);
    bar.pick(shownBy);
    tell(`The page still shows ${shown.name}.`);
  }

  if (document.querySelector("link[rel=manifest]") && location.protocol !== "file:") keepOffline();
  host.before(bar.element);
  for (const { key, name, payload } of entries.values()) row.put(key, name, payload.pixels);
  show(entries.get(firstOf(entries)));
  const asked = packed.findIndex(({ name }) => name === askedModel());
  if (asked > 0) {
    bar.pick(asked);
    choose(asked);
  }
}

/** Where a browser allows it. Where it does not, the site goes on as it is, with the network. */
function keepOffline() {
  navigator.serviceWorker?.register("service_worker.js").catch((error) => console.info(`This site is not kept for offline use: ${error.message}`));
}

/** @param {Entry} entry @param {import("./config.js").Config} config @returns {Promise<import("./trace.js").Picture>} */
async function prepare({ source, payload }, config) {
  if (source) return preparePicture(source, config);
  const picture = await preparePicture(await waitFor(payload.photo), config);
  return { ...picture, photo: payload.photo };
}

/** "photo: cat, 87.1 %, next dog, 5.2 %." */
function inWords({ about, labels, probabilities }) {
  const first = argmax(probabilities);
  if (labels.length === 1) return `${about.picture}: ${labels[0]} ${percent(probabilities[0])}.`;
  const second = argmax(probabilities.map((p, c) => (c === first ? -1 : p)));
  return `${about.picture}: ${labels[first]} ${percent(probabilities[first])}, then ${labels[second]} ${percent(probabilities[second])}.`;
}
