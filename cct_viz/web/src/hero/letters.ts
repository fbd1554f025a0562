// How much room a text takes in the drawing, before it is drawn.

/** Letters of Latin width; a Chinese one counts as two. */
export const letters = (text: string): number =>
  [...text].reduce((count, letter) => count + (letter >= "\u2e80" ? 2 : 1), 0);

/** Pixels of a text in the small size, about: what the widest of the usual systems needs. */
export const smallWidth = (text: string): number => letters(text) * 6.3 + 4;

/** The text, cut to at most so many letters. */
export function shortened(text: string, most: number): string {
  if (letters(text) <= most) return text;
  let kept = text;
  while (kept && letters(kept) > most - 1) kept = kept.slice(0, -1);
  return `${kept}…`;
}
