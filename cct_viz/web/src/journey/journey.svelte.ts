// The film of a page: whether it is open, whether it runs, and where it is.

import type { Session } from "../core/session.svelte.ts";
import { MOST_OPEN } from "../hero/layout.ts";
import { filmOf } from "./film.ts";
import { endOf, frameAt, sceneAt, type Film, type Frame } from "./scenes.ts";

/** "film": the drawing shows a moment of the film. "live": it pauses, and the page shows the moment's station. */
export type Mode = "closed" | "film" | "live";

/** After a longer pause between two frames, as in a tab that was hidden, the film goes on where it was. */
const LONGEST_STEP = 0.1; // seconds

const wantsStill = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Journey {
  readonly #session: Session;
  mode = $state<Mode>("closed");
  playing = $state(false);
  /** Seconds from the start. */
  time = $state(0);
  /** For people who asked their system for less motion: a step a scene, and nothing moves. */
  still = $state(false);
  /** The token that a pause has kept, and the one that was kept before. */
  #paused: { token: number; before: number | null } | null = null;
  #held = false;
  #resume = false;
  #request = 0;

  readonly film: Film | null = $derived.by(() => (this.#session.trace ? filmOf(this.#session.trace) : null));
  readonly isOpen: boolean = $derived.by(() => this.mode !== "closed" && this.film !== null);
  /** Whether the drawing belongs to the film. */
  readonly isFilm: boolean = $derived.by(() => this.isOpen && this.mode === "film");
  readonly frame: Frame | null = $derived.by(() => (this.isOpen && this.film ? frameAt(this.film, this.time) : null));
  /** Index of the scene, which changes less often than the frame. */
  readonly index: number = $derived.by(() => this.frame?.index ?? 0);
  /** The layer that is open in the drawing: where it folds the others, the opening moves on with the film. */
  readonly openLayer: number | null = $derived.by(() => {
    const layers = this.film?.shape.layers ?? 0,
      { scene } = this.frame ?? {};
    if (!scene || layers <= MOST_OPEN) return null;
    if (scene.name === "attention") return scene.layer;
    return this.film && this.index < this.film.scenes.findIndex(({ name }) => name === "attention") ? 0 : layers - 1;
  });
  readonly ended: boolean = $derived.by(() => this.film !== null && this.time >= this.film.duration);
  /** What the drawing shows of the film; null: the whole drawing. */
  readonly shown: Frame | null = $derived.by(() => (this.mode === "film" && !this.ended ? this.frame : null));

  constructor(session: Session) {
    this.#session = session;
  }

  start(): void {
    this.#session.selection.set({ step: null });
    this.still = wantsStill();
    this.time = 0;
    this.play();
  }

  /** Go on; from the start where the film has ended. */
  play(): void {
    if (!this.film) return;
    if (this.ended) this.time = 0;
    this.#showFilm();
    if (this.still) this.time = endOf(this.film.scenes[sceneAt(this.film, this.time)]);
    else this.#run();
  }

  /** Stop here: the page shows this moment's station with its token and layer. */
  pause(): void {
    this.#halt();
    const { frame } = this,
      { selection } = this.#session;
    if (!frame || this.ended) return;
    this.mode = "live";
    this.#forgetPause();
    if (frame.token !== null) {
      this.#paused = { token: frame.token, before: selection.token };
      selection.token = frame.token;
    }
    selection.open(frame.scene.station, frame.scene.layer);
  }

  toggle(): void {
    if (this.still && this.isFilm && !this.ended) this.step(1);
    else if (this.playing) this.pause();
    else this.play();
  }

  /** To the scene before or after; what runs runs on, what pauses pauses there. */
  step(by: -1 | 1): void {
    const { film } = this;
    if (!film) return;
    const to = this.index + (this.ended && by < 0 ? 0 : by);
    if (to >= film.scenes.length) this.#end(film);
    else this.goTo(Math.max(0, to));
  }

  /** To a scene: what runs runs on from its start; what does not run shows it complete. */
  goTo(index: number): void {
    const scene = this.film?.scenes[index];
    if (!scene) return;
    this.time = this.playing ? scene.start : endOf(scene);
    if (!this.playing && !this.still) this.mode = "live";
    if (this.mode === "live") this.pause();
  }

  /** The scrubber is held: the drawing follows it. */
  grab(): void {
    if (this.#held) return;
    this.#held = true;
    this.#resume = this.playing;
    this.#halt();
    this.#showFilm();
  }

  seek(time: number): void {
    this.time = Math.min(this.film?.duration ?? 0, Math.max(0, time));
  }

  release(): void {
    if (!this.#held || !this.film) return;
    this.#held = false;
    if (this.ended) this.#end(this.film);
    else if (this.#resume || this.still) this.play();
    else this.pause();
  }

  /** The visitor opened another station: the film follows, and ends where it has none of that name. */
  follow(): void {
    const { film, frame } = this,
      { station, layer } = this.#session.selection;
    if (!film || !frame || (this.mode === "film" && station === null)) return;
    this.#halt();
    this.mode = "live";
    const isAt = (scene: { station: string; layer: number }): boolean =>
      scene.station === station && (station !== "attention" || scene.layer === layer);
    if (!this.ended && isAt(frame.scene)) return;
    const scene = film.scenes.find(isAt);
    if (scene) this.time = endOf(scene);
    else this.close();
  }

  /** Another picture or model: what runs or is stepped through starts again with it, what has ended stays so. */
  restart(): void {
    const { film } = this;
    if (!film || !this.isFilm) return;
    this.time = this.playing ? 0 : this.still ? endOf(film.scenes[0]) : film.duration;
  }

  close(): void {
    this.#halt();
    this.mode = "closed";
  }

  /** Light the token again that was lit before a pause, unless the visitor has chosen another. */
  #forgetPause(): void {
    const { selection } = this.#session;
    if (this.#paused && selection.token === this.#paused.token) selection.token = this.#paused.before;
    this.#paused = null;
  }

  #showFilm(): void {
    this.#forgetPause();
    this.mode = "film";
    this.#session.selection.hover = null;
    this.#session.selection.open(null);
  }

  #run(): void {
    this.#halt();
    this.playing = true;
    let before: number | null = null;
    const tick = (now: number): void => {
      const { film } = this;
      if (!film) return this.close();
      this.time += Math.min(LONGEST_STEP, (now - (before ?? now)) / 1000);
      before = now;
      if (this.time >= film.duration) this.#end(film);
      else this.#request = requestAnimationFrame(tick);
    };
    this.#request = requestAnimationFrame(tick);
  }

  #end(film: Film): void {
    this.#halt();
    this.#showFilm();
    this.time = film.duration;
  }

  #halt(): void {
    cancelAnimationFrame(this.#request);
    this.playing = false;
  }
}

const journeys = new WeakMap<Session, Journey>();

/** The journey of a page, made once. In a root of its own, since it outlives the component that asks first. */
export function journeyOf(session: Session): Journey {
  if (!journeys.has(session)) $effect.root(() => void journeys.set(session, new Journey(session)));
  return journeys.get(session) as Journey;
}
