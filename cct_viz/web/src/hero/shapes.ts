// Path data of the drawing's curves.

export type Point = readonly [x: number, y: number];

const f = (value: number): string => (Math.round(value * 100) / 100).toString();

/** A curve that leaves and arrives horizontally. */
export function curve(x0: number, y0: number, x1: number, y1: number): string {
  const middle = f((x0 + x1) / 2);
  return `M${f(x0)},${f(y0)}C${middle},${f(y0)} ${middle},${f(y1)} ${f(x1)},${f(y1)}`;
}

/** A ribbon from [top0, bottom0] at x0 to [top1, bottom1] at x1. */
export function band(x0: number, top0: number, bottom0: number, x1: number, top1: number, bottom1: number): string {
  const middle = f((x0 + x1) / 2);
  return (
    `M${f(x0)},${f(top0)}C${middle},${f(top0)} ${middle},${f(top1)} ${f(x1)},${f(top1)}` +
    `L${f(x1)},${f(bottom1)}C${middle},${f(bottom1)} ${middle},${f(bottom0)} ${f(x0)},${f(bottom0)}Z`
  );
}

export const line = (points: readonly Point[]): string =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${f(x)},${f(y)}`).join("");

export const polygon = (points: readonly Point[]): string => `${line(points)}Z`;

/** One path of many rectangles [x, y, width, height]. */
export const rectangles = (boxes: readonly (readonly [number, number, number, number])[]): string =>
  boxes.map(([x, y, w, h]) => `M${f(x)},${f(y)}h${f(w)}v${f(h)}h${f(-w)}z`).join("");

/** One path of many circles [x, y, radius]. */
export const circles = (discs: readonly (readonly [number, number, number])[]): string =>
  discs
    .map(
      ([x, y, r]) => `M${f(x - r)},${f(y)}a${f(r)},${f(r)} 0 1,0 ${f(2 * r)},0a${f(r)},${f(r)} 0 1,0 ${f(-2 * r)},0z`,
    )
    .join("");
