// Where a photo comes into the page: chosen, dropped, pasted or taken; how far it is; and what was wrong with it.

import { takePicture } from "./camera.js";
import { h, say, select } from "./dom.js";

const WORDS = "or drop one anywhere on the page, or paste it. It never leaves this device.";
const NO_FILE = "what was dropped is not a file; save the picture first and drop the file, or choose it";
const NO_PICTURE = "there is no picture in the clipboard; copy one first, or choose a file";

/**
 * @param {object} options
 * @param {string[]} options.models their names
 * @param {(source: Blob | HTMLCanvasElement, name: string) => void} options.take called with each new photo
 * @param {(index: number) => void} options.choose called with another model
 * @param {() => void} options.cancel
 */
export function createPhotoBar({ models, take, choose, cancel }) {
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Photo", onchange: takeChosen });
  const picker = select("Model", models.map((name, i) => [i, name]), 0, choose);
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" }), step = h("span");
  const stop = h("button", { type: "button", onclick: cancel }, "Cancel");
  const progress = h("div", { class: "row progress", hidden: true }, bar, step, stop);
  const told = h("p", { class: "told", role: "status" }), problem = h("p", { class: "problem", role: "alert" });
  const facts = h("span", { class: "how" }), which = h("div", { class: "row which", hidden: models.length < 2 }, picker.element, facts);

  function takeChosen() {
    takeFile(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  }
  const takeFile = (blob) => { if (blob) take(blob, nameOf(blob)); };
  async function takeFromCamera() {
    try {
      const still = await takePicture();
      if (still) take(still, "photo from the camera");
    } catch (error) {
      fail(error);
    }
  }
  const isFile = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.toggle("over", isFile(event)); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (event.dataTransfer.files.length) takeFile(event.dataTransfer.files[0]);
    else fail(new Error(NO_FILE));
  });
  addEventListener("paste", (event) => {
    if (event.composedPath()[0].matches?.("input, textarea")) return; // a search, not a picture
    if (event.clipboardData.files.length) takeFile(event.clipboardData.files[0]);
    else fail(new Error(NO_PICTURE));
  });

  function end(words = "", sentence = "") {
    progress.hidden = true;
    say(told, words);
    say(problem, sentence);
  }
  /** Say what went wrong, and what the page goes on with. */
  function fail(error, words = "") {
    const text = error.message.replace(/\.$/, "").replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase()); // but not photo.jpg
    end("", `${text}. ${words}`.trim());
  }

  return {
    element: h("section", { class: "bar", "aria-label": "Your photo" },
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", onclick: () => file.click() }, "Choose a photo"),
        h("button", { type: "button", onclick: takeFromCamera }, "Camera"), h("span", { class: "how" }, WORDS), file),
      which, progress, told, problem),
    /** How much of the work is done, from 0 to 1, and what is next. */
    show(share, next) {
      progress.hidden = false;
      bar.value = share;
      say(step, next);
      say(problem, "");
    },
    end, fail, pick: picker.set,
    /** Say what is known of the weights that are in use. */
    describe: (known) => say(facts, known.join(", ")),
  };
}

/** "IMG_2041" of IMG_2041.jpg; what was pasted has no name of its own. */
const nameOf = (blob) => (blob.name ?? "").replace(/\.\w+$/, "") || "your photo";
