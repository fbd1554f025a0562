// A stroke over the cells of a grid, with mouse, pen or finger.

import { between, cellAt, type GridSize } from "./cells.ts";

/** The cell of the event's own element that a pointer is over; null beside it. */
export const cellUnder = (event: MouseEvent, grid: GridSize): number | null =>
  cellAt(event, (event.currentTarget as HTMLElement).getBoundingClientRect(), grid);

export class Stroke {
  #last: number | null = null;

  /** The cell where it begins, as a list; empty beside the grid. The pointer stays with the element until it is let go. */
  begin(event: PointerEvent, grid: GridSize): number[] {
    const cell = cellUnder(event, grid);
    if (cell === null || event.button !== 0 || !event.isPrimary) return [];
    event.preventDefault();
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.#last = cell;
    return [cell];
  }

  /** The cells that it reaches now, without gaps. */
  move(event: PointerEvent, grid: GridSize): number[] {
    const cell = cellUnder(event, grid);
    if (this.#last === null || !event.isPrimary || !event.buttons || cell === null || cell === this.#last) return [];
    const cells = between(this.#last, cell, grid.columns);
    this.#last = cell;
    return cells;
  }

  end(): void {
    this.#last = null;
  }
}
