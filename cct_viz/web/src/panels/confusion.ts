/** The share of one cell in its row of a confusion table, in percent. */
export function rowShare(row: readonly number[], column: number): number {
  const total = row.reduce((a, b) => a + b, 0);
  return total ? Math.round((100 * row[column]) / total) : 0;
}
