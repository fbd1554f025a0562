// How the drawing arrives: from left to right, once.

export const FIRST = 1600;
export const NEXT = 900;
const EASING = "cubic-bezier(.4, 0, .2, 1)";

/** Room around the drawing that is never cut off, in pixels: frames and the pipe stand over its edge. */
const AROUND = 40;

const clip = (width: number, shown: number): string =>
  `inset(-${AROUND}px ${width - shown}px -${AROUND}px -${AROUND}px)`;

const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Show the drawing from `from` to `to` pixels of its width. */
export function wipe(element: HTMLElement, width: number, from: number, to: number, duration: number): Animation {
  return element.animate([{ clipPath: clip(width, from) }, { clipPath: clip(width, to) }], {
    duration: still() ? 0 : duration,
    easing: EASING,
    fill: to < width ? "forwards" : "none",
  });
}
