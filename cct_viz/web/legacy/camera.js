// The camera: a window with what it sees, and one picture of it.

import { h } from "./dom.js";

const REASONS = {
  NotAllowedError: "the camera was not allowed; allow it in the browser, or choose a photo",
  NotFoundError: "no camera was found; choose a photo",
  NotReadableError: "another program uses the camera; close that, or choose a photo",
};
const NONE = "this browser gives a page that is opened like this no camera; choose a photo";

/**
 * A picture as the camera sees it now; null where the visitor closes the window.
 * @returns {Promise<HTMLCanvasElement | null>} rejects with a sentence where there is no camera to be had
 */
export async function takePicture() {
  const stream = await open();
  const video = h("video", { autoplay: true, playsinline: true, "aria-label": "What the camera sees" });
  const take = h("button", { type: "button", class: "primary", disabled: true, onclick: () => dialog.close("taken") }, "Take the picture");
  const dialog = h("dialog", { "aria-label": "Camera" }, video,
    h("div", { class: "row" }, take, h("button", { type: "button", onclick: () => dialog.close("") }, "Close")));
  video.muted = true;
  video.srcObject = stream;
  video.addEventListener("loadeddata", () => { take.disabled = false; take.focus(); });
  document.body.append(dialog);
  try {
    dialog.showModal();
    await new Promise((closed) => dialog.addEventListener("close", closed));
    return dialog.returnValue === "taken" ? frameOf(video) : null;
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    dialog.remove();
  }
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(NONE);
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? NONE);
  }
}

function frameOf(video) {
  const still = h("canvas", { width: video.videoWidth, height: video.videoHeight });
  still.getContext("2d").drawImage(video, 0, 0);
  return still;
}
