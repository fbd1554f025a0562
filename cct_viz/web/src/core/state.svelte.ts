// What the visitor chose: plain values that the address can carry, and their way into the address and back.

import { isLanguage, type Language } from "../i18n/language.svelte.ts";

export const STATIONS = ["pixels", "convolution", "tokens", "attention", "pool", "classes"] as const;
export const TOOLS = ["remove", "paint", "curves", "trust", "compare", "model", "take", "code", "glossary"] as const;
export type Station = (typeof STATIONS)[number];
export type Tool = (typeof TOOLS)[number];
export type Place = Station | Tool;

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const FUSIONS = ["mean", "max", "min"] as const;
export type Fusion = (typeof FUSIONS)[number];

export const ATTENTION_VIEWS = ["pair", "heads", "rollout", "paths", "depth", "maps"] as const;
export type AttentionView = (typeof ATTENTION_VIEWS)[number];

/** The tour takes 5 minutes, the lesson 20; "trust" asks what a map is worth. */
export const COURSES = ["tour", "lesson", "trust"] as const;
export type Course = (typeof COURSES)[number];

/** One conv stage and one of its channels, both counted from 0. */
export interface Feature {
  stage: number;
  channel: number;
}

/** The choices, without those that live only while the pointer rests. All indices are counted from 0. */
export interface Choices {
  model: string;
  picture: string;
  /** The kept token; null: the strongest contributor is lit. */
  token: number | null;
  /** The explained class; null: the model's answer. */
  target: number | null;
  /** The class that the target is compared with; null: no comparison. */
  reference: number | null;
  station: Place | null;
  layer: number;
  /** null: the mean of the heads. */
  head: number | null;
  /** The key token of the open attention; null: the one that gets most attention. */
  key: number | null;
  view: AttentionView;
  fusion: Fusion;
  /** Share of attention in a layer of rollout, 0 to 1, or as measured on this picture. */
  alpha: number | "measured";
  /** Layers that rollout walks back from the pool; null: all. */
  depth: number | null;
  feature: Feature | null;
  course: Course;
  /** Step of the course; null: closed. */
  step: number | null;
  presenter: boolean;
  theme: Theme;
  /** null: the visitor's own. */
  lang: Language | null;
}

export const DEFAULTS: Choices = {
  model: "",
  picture: "",
  token: null,
  target: null,
  reference: null,
  station: null,
  layer: 0,
  head: null,
  key: null,
  view: "pair",
  fusion: "mean",
  alpha: 0.5,
  depth: null,
  feature: null,
  course: "tour",
  step: null,
  presenter: false,
  theme: "auto",
  lang: null,
};

/** What a change of which is an entry of the browser's history; a change of the others replaces the entry. */
const ENTRIES: readonly (keyof Choices)[] = ["model", "picture", "station", "presenter", "course", "step"];

const whole = (text: string): number | undefined => (/^\d{1,6}$/.test(text) ? Number(text) : undefined);
const oneOf =
  <T extends string>(values: readonly T[]) =>
  (text: string): T | undefined =>
    values.find((value) => value === text);

function readFeature(text: string): Feature | undefined {
  const [stage, channel, ...rest] = text.split(".").map(whole);
  return stage !== undefined && channel !== undefined && !rest.length ? { stage, channel } : undefined;
}

function readAlpha(text: string): Choices["alpha"] | undefined {
  if (text === "measured") return text;
  const value = Number(text);
  return text !== "" && value >= 0 && value <= 1 ? value : undefined;
}

/** How each choice is read from the address; undefined where the text makes no sense. */
const READERS: { [Name in keyof Choices]: (text: string) => Choices[Name] | undefined } = {
  model: (text) => text,
  picture: (text) => text,
  token: whole,
  target: whole,
  reference: whole,
  station: oneOf([...STATIONS, ...TOOLS]),
  layer: whole,
  head: whole,
  key: whole,
  view: oneOf(ATTENTION_VIEWS),
  fusion: oneOf(FUSIONS),
  alpha: readAlpha,
  depth: whole,
  feature: readFeature,
  course: oneOf(COURSES),
  step: whole,
  presenter: (text) => (text === "1" ? true : undefined),
  theme: oneOf(THEMES),
  lang(text) {
    const language = text.split("-")[0].toLowerCase(); // de-AT
    return isLanguage(language) ? language : undefined;
  },
};
const NAMES = Object.keys(READERS) as (keyof Choices)[];

function write(value: Choices[keyof Choices]): string {
  if (value === null || value === false) return "";
  if (value === true) return "1";
  return typeof value === "object" ? `${value.stage}.${value.channel}` : `${value}`;
}

/** "station=attention&layer=1&…": what differs from `DEFAULTS`. */
export function toHash(choices: Choices): string {
  const words = new URLSearchParams();
  for (const name of NAMES) {
    const text = write(choices[name]);
    if (text !== write(DEFAULTS[name])) words.set(name, text);
  }
  return words.toString();
}

/** The choices that an address names; what it leaves out or what makes no sense is as in `DEFAULTS`. */
export function fromHash(hash: string): Choices {
  const words = new URLSearchParams(hash.replace(/^#/, "")),
    choices: Choices = { ...DEFAULTS };
  const set = <Name extends keyof Choices>(name: Name): void => {
    const text = words.get(name),
      value = text === null ? undefined : READERS[name](text);
    if (value !== undefined) choices[name] = value;
  };
  NAMES.forEach(set);
  return choices;
}

/** Whether going from one to the other is a step that Back undoes. */
export const isEntry = (before: Choices, after: Choices): boolean =>
  ENTRIES.some((name) => before[name] !== after[name]);

/** The choices as reactive fields. */
export class Selection implements Choices {
  model = $state(DEFAULTS.model);
  picture = $state(DEFAULTS.picture);
  token = $state(DEFAULTS.token);
  target = $state(DEFAULTS.target);
  reference = $state(DEFAULTS.reference);
  station = $state(DEFAULTS.station);
  layer = $state(DEFAULTS.layer);
  head = $state(DEFAULTS.head);
  key = $state(DEFAULTS.key);
  view = $state(DEFAULTS.view);
  fusion = $state(DEFAULTS.fusion);
  alpha = $state(DEFAULTS.alpha);
  depth = $state(DEFAULTS.depth);
  feature = $state.raw(DEFAULTS.feature);
  course = $state(DEFAULTS.course);
  step = $state(DEFAULTS.step);
  presenter = $state(DEFAULTS.presenter);
  theme = $state(DEFAULTS.theme);
  lang = $state(DEFAULTS.lang);
  /** The token under the pointer; null: none. No address has it. */
  hover = $state<number | null>(null);

  /** All choices as plain values. */
  get choices(): Choices {
    const all = { ...DEFAULTS };
    const copy = <Name extends keyof Choices>(name: Name): void => {
      all[name] = this[name] as Choices[Name];
    };
    NAMES.forEach(copy);
    return all;
  }

  set(patch: Partial<Choices>): void {
    Object.assign(this, patch);
  }

  /** Keep a token; keeping the kept one frees it. */
  keep(token: number): void {
    this.token = this.token === token ? null : token;
  }

  /** Open a station or tool. */
  open(station: Place | null, layer: number = this.layer): void {
    this.set({ station, layer, key: null });
  }

  /** Forget what belongs to one picture. */
  clearPicture(): void {
    this.set({ token: null, target: null, reference: null, key: null });
    this.hover = null;
  }
}
