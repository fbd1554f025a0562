// Cells of a grid under a pointer, beside another, and between two places of it.

export interface GridSize {
  readonly rows: number;
  readonly columns: number;
}

/** The cell at a point of a box; null beside it. */
export function cellAt(
  point: { clientX: number; clientY: number },
  box: { left: number; top: number; width: number; height: number },
  { rows, columns }: GridSize,
): number | null {
  const column = Math.floor(((point.clientX - box.left) / box.width) * columns);
  const row = Math.floor(((point.clientY - box.top) / box.height) * rows);
  return row >= 0 && column >= 0 && row < rows && column < columns ? row * columns + column : null;
}

/**
 * The cell that a key leads to: a step with an arrow, which stops at the edges, or an end of the row; null for others
 * and with a modifier, which is for the browser.
 */
export function cellBeside(
  cell: number,
  press: Pick<KeyboardEvent, "key" | "altKey" | "ctrlKey" | "metaKey">,
  { rows, columns }: GridSize,
): number | null {
  const row = Math.floor(cell / columns),
    column = cell % columns;
  switch (press.altKey || press.ctrlKey || press.metaKey ? null : press.key) {
    case "ArrowLeft":
      return cell - Number(column > 0);
    case "ArrowRight":
      return cell + Number(column < columns - 1);
    case "ArrowUp":
      return row > 0 ? cell - columns : cell;
    case "ArrowDown":
      return row < rows - 1 ? cell + columns : cell;
    case "Home":
      return cell - column;
    case "End":
      return cell - column + columns - 1;
    default:
      return null;
  }
}

/** The cells on a straight line to `to`, without `from`: a quick pointer leaves no gaps. */
export function between(from: number, to: number, columns: number): number[] {
  const row = (cell: number): number => Math.floor(cell / columns);
  const column = (cell: number): number => cell % columns;
  const steps = Math.max(Math.abs(row(to) - row(from)), Math.abs(column(to) - column(from)));
  return Array.from({ length: steps }, (_, i) => {
    const part = (i + 1) / steps;
    const y = Math.round(row(from) + part * (row(to) - row(from)));
    return y * columns + Math.round(column(from) + part * (column(to) - column(from)));
  });
}

/** The outline of some cells as an SVG path, in units of one cell. */
export function outline(cells: ReadonlySet<number>, { rows, columns }: GridSize): string {
  const has = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < rows && column < columns && cells.has(row * columns + column);
  return [...cells]
    .map((cell) => {
      const row = Math.floor(cell / columns),
        column = cell % columns;
      return [
        has(row - 1, column) ? "" : `M${column} ${row}h1`,
        has(row + 1, column) ? "" : `M${column} ${row + 1}h1`,
        has(row, column - 1) ? "" : `M${column} ${row}v1`,
        has(row, column + 1) ? "" : `M${column + 1} ${row}v1`,
      ].join("");
    })
    .join("");
}

/** The set with cells added or taken away, as a set of its own. */
export function withCells(set: ReadonlySet<number>, cells: readonly number[], add: boolean): Set<number> {
  const made = new Set(set);
  for (const cell of cells) {
    if (add) made.add(cell);
    else made.delete(cell);
  }
  return made;
}
