// The shown picture as the visitor changes it, with undo and redo. The whole page follows.

import { brighten, meanColour, turn } from "../derive/painting.ts";
import type { Session } from "./session.svelte.ts";
import { NO_STEPS, redo, stepFrom, type Steps, undo } from "./undo.ts";

export interface Change {
  /** (H, W, 3): the pixels as painted; null: the picture's own. */
  readonly strokes: Uint8Array | null;
  /** Factor of every level. */
  readonly brightness: number;
  /** Degrees, clockwise. */
  readonly turn: number;
}

const UNCHANGED: Change = { strokes: null, brightness: 1, turn: 0 };

export class Edits {
  readonly #session: Session;
  change = $state.raw(UNCHANGED);
  steps = $state.raw<Steps<Change>>(NO_STEPS);
  /** (H, W, 3); null where nothing is changed. The traces follow them. */
  readonly pixels: Uint8Array | null = $derived.by(() => {
    const { untouched } = this.#session;
    return untouched && pixelsOf(untouched.pixels, untouched.config.imageSize, this.change);
  });

  constructor(session: Session) {
    this.#session = session;
  }

  /** A stroke, or the move of a slider, begins: it is one step of undo. */
  begin(): void {
    this.steps = stepFrom(this.steps, this.change);
  }

  /** The picture with these pixels: brightness and turn are in them. */
  draw(strokes: Uint8Array): void {
    this.#set({ ...UNCHANGED, strokes });
  }

  adjust(patch: Partial<Pick<Change, "brightness" | "turn">>): void {
    this.#set({ ...this.change, ...patch });
  }

  undo(): void {
    this.#go(undo(this.steps, this.change));
  }

  redo(): void {
    this.#go(redo(this.steps, this.change));
  }

  /** Back to the picture, as a step that can be undone. */
  restore(): void {
    this.begin();
    this.#set(UNCHANGED);
  }

  /** Another picture is there. */
  forget(): void {
    this.change = UNCHANGED;
    this.steps = NO_STEPS;
  }

  /** The newest change could not be shown: these pixels still are. */
  giveUp(strokes: Uint8Array | null): void {
    this.change = { ...UNCHANGED, strokes };
  }

  #go(to: ReturnType<typeof undo<Change>>): void {
    if (!to) return;
    this.steps = to.steps;
    this.#set(to.state);
  }

  #set(change: Change): void {
    this.change = change;
    void this.#session.paint(this.pixels);
  }
}

/** (H, W, 3) of a changed picture; null where every pixel is the picture's own. */
function pixelsOf(
  own: Uint8Array,
  size: readonly [number, number],
  { strokes, brightness, turn: degrees }: Change,
): Uint8Array | null {
  const painted = strokes ?? own,
    bright = brightness === 1 ? painted : brighten(painted, brightness),
    turned = degrees === 0 ? bright : turn(bright, size, degrees, meanColour(bright));
  return turned.every((level, i) => level === own[i]) ? null : turned;
}
