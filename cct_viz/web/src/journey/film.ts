// The film of a trace.

import type { Trace } from "../model/trace.ts";
import { makeFilm, type Film } from "./scenes.ts";

export function filmOf(trace: Trace): Film {
  return makeFilm({
    grids: trace.stages.map(({ rows, columns }) => ({ rows, columns })),
    layers: trace.config.numLayers,
    splits: trace.contributions !== null,
  });
}
