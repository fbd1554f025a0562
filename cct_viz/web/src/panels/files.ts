// Files that the visitor saves.

import type { Session } from "../core/session.svelte.ts";

/** A name that every system accepts. */
export const fileName = (name: string): string => name.replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 60) || "picture";

export function save(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

const SCALE = 2;

/** An SVG address as PNG, twice as fine. @throws {Error} the browser cannot draw it */
export async function pngOf(address: string): Promise<Blob> {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = SCALE * image.naturalWidth;
  canvas.height = SCALE * image.naturalHeight;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser makes no PNG of the figure"))));
  });
}

/** Every number of the shown trace that a table can hold, as JSON. */
export function numbersOf({ trace, untouched, shownModel, shownPicture, target }: Session): string {
  if (!trace) return "{}";
  const { config, grid, labels } = trace;
  const list = (values: ArrayLike<number> | null): number[] | null => values && Array.from(values);
  const rows = (values: ArrayLike<number> | null, width: number): number[][] | null =>
    values &&
    Array.from({ length: values.length / width }, (_, row) =>
      Array.from({ length: width }, (_, i) => values[row * width + i]),
    );
  return JSON.stringify(
    {
      model: { id: shownModel?.id, title: shownModel?.title, sha256: shownModel?.sha256 },
      picture: {
        name: shownPicture?.name,
        trueClass: shownPicture?.truth,
        changed: trace.pixels !== untouched?.pixels,
        ...trace.geometry,
      },
      mask: list(trace.mask ?? null),
      repooled: trace.isRepooled ?? false,
      config,
      grid,
      labels,
      explained: labels[target],
      logits: list(trace.logits),
      probabilities: list(trace.probabilities),
      bias: list(trace.bias),
      poolingWeights: list(trace.poolingWeights),
      poolScores: list(trace.poolScores),
      evidence: rows(trace.evidence, labels.length),
      contributions: rows(trace.contributions, labels.length),
      readout: list(trace.readout),
      receptiveFields: rows(trace.receptiveFields, 4),
    },
    null,
    1,
  );
}
