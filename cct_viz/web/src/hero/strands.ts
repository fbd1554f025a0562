// From the cells of the last map to the token column.

import { MOST_SINGLE, type Scene } from "./scene.ts";
import { band } from "./shapes.ts";

export interface Strand {
  readonly path: string;
  readonly colour: string;
}

/** A strand a token, in the colour of its patch; above 1,024 tokens a strand a row of the grid. */
export function strandsOf({ layout, colours }: Scene): Strand[] {
  const { fan, rows, columns, tokens } = layout,
    each = tokens > MOST_SINGLE ? columns : 1,
    row = fan.height / rows,
    part = (row / columns) * each;
  return Array.from({ length: tokens / each }, (_, i) => {
    const token = i * each,
      y = fan.top + Math.floor(token / columns) * row + ((token % columns) / columns) * row,
      last = token + each - 1;
    return {
      path: band(fan.x0, y, y + part * 0.92, fan.x1, layout.ty(token), layout.ty(last) + layout.pitch),
      colour: colours[token + Math.floor(each / 2)] ?? "",
    };
  });
}
