// What a layer above the drawing may use of it.

import type { Photo } from "./photo.ts";
import type { Scene } from "./scene.ts";

export interface Drawn {
  readonly scene: Scene;
  /** The lit token. */
  readonly token: number;
  readonly photo: Photo;
  /** The photo once it is loaded. */
  readonly image: HTMLImageElement | null;
  /** Of each conv stage the channels whose maps are shown. */
  readonly channels: readonly (readonly number[])[];
}
