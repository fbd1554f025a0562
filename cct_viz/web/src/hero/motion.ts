// How the drawing arrives: from left to right, once.

export const FIRST = 1600;
export const NEXT = 900;
const EASING = "cubic-bezier(.4, 0, .2, 1)";

/** Room around the drawing that is never cut off, in pixels: frames and the pipe stand over its edge. */
const AROUND = 40;

const clip = (right: number): string => `inset(-${AROUND}px ${right}px -${AROUND}px -${AROUND}px)`;

const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Show the drawing, `width` pixels wide, from its left edge on. */
export function wipe(element: HTMLElement, width: number, duration: number): void {
  element.animate([{ clipPath: clip(width) }, { clipPath: clip(-AROUND) }], {
    duration: still() ? 0 : duration,
    easing: EASING,
  });
}
