// The model beside the page: fetched from the app, with the modules that run it, when it is first asked. Once for all
// pictures of one model.

import { readPixels } from "./pixels.js";

const AWAY = "the model cannot be fetched from the app; check the connection, then try again";

/** @type {{address: string, opening: Promise<any> | null} | null} */
let kept = null;

async function open(address) {
  let found;
  try {
    const response = await fetch(new URL(address, document.baseURI));
    if (!response.ok) throw new Error(response.statusText);
    found = await response.json();
  } catch {
    throw new Error(AWAY);
  }
  const { createModels } = await globalThis.importModules(found.sources);
  return createModels([found.model]);
}

/**
 * What an explorer can ask of the model at `address`; null where there is none.
 * @param {string | null | undefined} address @param {string} pixels address of the picture that the model was given
 * @returns {import("./main.js").Inside | null}
 */
export function createFetched(address, pixels) {
  if (kept && kept.address !== address) {
    kept.opening?.then((models) => models.close(), () => {}); // who waits has been told already
    kept = null;
  }
  kept?.opening?.then((models) => models.drop(), () => {}); // what was asked of the picture before
  if (!address) return null;
  const mine = (kept ??= { address, opening: null });
  const models = () => (mine.opening ??= open(address).catch((error) => { mine.opening = null; throw error; }));
  let given = null;
  return {
    sources: null,
    async ask({ mask = null, pixels: painted = null }) {
      const { start } = await models();
      given ??= await readPixels(pixels);
      return (await start()).answer(painted ?? given, mask);
    },
  };
}
