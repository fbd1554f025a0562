// How the drawing arrives: from left to right, once.

export const FIRST = 1600;
export const NEXT = 900;
const EASING = "cubic-bezier(.4, 0, .2, 1)";

/** Room around the drawing that is never cut off, in pixels: frames and the pipe stand over its edge. */
const AROUND = 40;

const clip = (width: number, shown: number): string =>
  `inset(-${AROUND}px ${width - shown}px -${AROUND}px -${AROUND}px)`;

const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Show the drawing from its left edge to `to` pixels of its width. */
export function wipe(element: HTMLElement, width: number, to: number, duration: number): void {
  element.animate([{ clipPath: clip(width, 0) }, { clipPath: clip(width, to) }], {
    duration: still() ? 0 : duration,
    easing: EASING,
  });
}
