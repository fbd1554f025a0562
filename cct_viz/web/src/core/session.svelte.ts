// What the page knows: its models and pictures, the model that runs, and the trace of the shown picture. The last trace
// stays until the next one is there; whatever fails leaves it and says why.

import { verdictOf, type Verdict } from "./answer.ts";
import { type Change, Edits, isSamePass, UNCHANGED } from "./edits.svelte.ts";
import { galleryOf, type ModelEntry, type PictureEntry } from "./entries.ts";
import { argmax } from "./maths.ts";
import { isAbort } from "./problem.ts";
import { DEFAULTS, fromHash, isEntry, Selection, toHash, type Choices } from "./state.svelte.ts";
import { maskWithout } from "../derive/faithfulness.ts";
import { poolWith, withPool } from "../derive/laboratory.ts";
import { t } from "../i18n/index.ts";
import { type Language, LANGUAGES, spoken } from "../i18n/language.svelte.ts";
import { keep, type Packs } from "../i18n/packs.ts";
import { problemSentence } from "../i18n/problems.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Config } from "../model/config.ts";
import type { TokenMask } from "../model/forward.ts";
import type { Model } from "../model/model.ts";
import type { AnswersOptions, RunningModel } from "../model/runner.ts";
import type { Picture, Trace } from "../model/trace.ts";
import { preparePicture, withPixels } from "../picture/prepare.ts";

/** How a host runs models. */
export type StartModel = (model: ModelEntry) => Promise<RunningModel>;

/** What a gallery says about a picture under one model. */
export interface Mark {
  readonly verdict: Verdict;
  readonly label: string;
  readonly probability: number;
}

/** A message: what happened and what to do. `busy` while something is under way. */
export interface Notice {
  readonly kind: "problem" | "busy" | "done";
  /** In the page's language, also after that has changed. */
  readonly text: string;
}

/** Models from the Hugging Face Hub: what happens, and how to try again where that may help. */
export interface Hub {
  readonly text: string;
  readonly busy: boolean;
  readonly retry: (() => void) | null;
}

const prepare = async (picture: PictureEntry, config: Config): Promise<Picture> =>
  picture.prepared ? picture.prepared() : preparePicture(await picture.source(), config);

export class Session {
  readonly selection = new Selection();
  readonly edits = new Edits(this);
  models = $state.raw<readonly ModelEntry[]>([]);
  /** What the server says about the Hub; null where there is no server or nothing to say. */
  hub = $state.raw<Hub | null>(null);
  pictures = $state.raw<readonly PictureEntry[]>([]);
  /** The trace of the picture as it came. */
  untouched = $state.raw<Trace | null>(null);
  /** The trace of the picture as the visitor changed it, or without some tokens; null: unchanged. */
  changed = $state.raw<Trace | null>(null);
  /** Whether the page shows everything as it was before the change. */
  before = $state(false);
  /** The trace with the model's own pool, for what asks the model again. */
  readonly ownPool: Trace | null = $derived.by(() => (this.before ? this.untouched : (this.changed ?? this.untouched)));
  /** The trace with the pool that the visitor chose; null: the model's own. */
  readonly repooled: Trace | null = $derived.by(() => {
    const trace = this.changed ?? this.untouched,
      { pooling, dropped, masked } = this.edits.change;
    if (!trace || (pooling.kind === "model" && !dropped.size)) return null;
    const pooled = poolWith(trace, pooling, new Set([...dropped, ...masked]));
    return pooled && withPool(trace, pooled);
  });
  /** What the whole page shows. */
  readonly trace: Trace | null = $derived.by(() => (this.before ? this.untouched : (this.repooled ?? this.ownPool)));
  readonly isChanged = $derived(this.changed !== null || this.repooled !== null);
  /** Whether `trace` differs from `untouched`. */
  readonly showsChange = $derived(this.isChanged && !this.before);
  /** What the curtain of every map uncovers; null where nothing is changed. */
  readonly behind: Trace | null = $derived(this.showsChange ? this.untouched : null);
  /** How far the curtain is pulled, 0 to 1. */
  curtain = $state(0);
  /** The shown model in this thread, for what is computed from single weights; null where a server computed the trace. */
  model = $state.raw<Model | null>(null);
  /** What is shown, which differs from what is chosen while a model computes. */
  shownPicture = $state.raw<PictureEntry | null>(null);
  shownModel = $state.raw<ModelEntry | null>(null);
  notice = $state.raw<Notice | null>(null);
  /** The share of a running computation that is done, 0 to 1; null: none runs. */
  progress = $state.raw<number | null>(null);
  /** Tokens that the visitor took away; forgotten with the picture. */
  removed = $state.raw<ReadonlySet<number>>(new Set());
  marks = $state.raw<Readonly<Record<string, Mark>>>({});

  /** The explained class; a change of the picture keeps it. */
  readonly target: number = $derived.by(() => {
    const { untouched, selection } = this;
    if (!untouched) return 0;
    const chosen = selection.target;
    return chosen !== null && chosen < untouched.labels.length ? chosen : argmax(untouched.probabilities);
  });
  /** The class that it is compared with, or null. */
  readonly reference: number | null = $derived.by(() => {
    const chosen = this.selection.reference;
    return chosen !== null && chosen !== this.target && chosen < (this.trace?.labels.length ?? 0) ? chosen : null;
  });
  /** The token with the largest contribution to the target; without contributions, by evidence. */
  readonly strongest: number = $derived.by(() => {
    const { trace, target } = this;
    if (!trace) return 0;
    const table = trace.contributions ?? trace.evidence,
      classes = trace.labels.length;
    return argmax(Array.from({ length: trace.config.numTokens }, (_, t) => table[t * classes + target]));
  });
  /** The kept token of this model's grid, or null. */
  readonly kept: number | null = $derived.by(() => {
    const { token } = this.selection;
    return token !== null && token < (this.trace?.config.numTokens ?? 0) ? token : null;
  });
  /** The lit token. */
  readonly active: number = $derived(this.selection.hover ?? this.kept ?? this.strongest);
  /** Index of the class that people gave the picture, or null. */
  readonly truth: number | null = $derived.by(() => {
    const index = this.trace?.labels.indexOf(this.shownPicture?.truth ?? "") ?? -1;
    return index < 0 ? null : index;
  });
  /** Whether the shown photo has so few pixels that they are drawn as squares. */
  readonly pixelated: boolean = $derived(
    this.shownPicture?.kind === "example" || this.trace?.image !== this.untouched?.image,
  );
  /** The pictures to choose from. */
  readonly gallery: readonly PictureEntry[] = $derived(galleryOf(this.pictures, this.shownModel?.labels ?? []));
  readonly verdict: Verdict = $derived(
    this.trace ? verdictOf(this.trace.probabilities, this.truth, this.trace.labels) : "other",
  );
  readonly layer: number = $derived(Math.min(this.selection.layer, (this.trace?.config.numLayers ?? 1) - 1));
  /** The layer that the drawing opens where it folds the others; null: the drawing's own choice. */
  readonly openLayer: number | null = $derived(
    this.selection.station === "attention" || this.selection.layer ? this.layer : null,
  );
  readonly head: number | null = $derived.by(() => {
    const { head } = this.selection;
    return head !== null && head < (this.trace?.config.numHeads ?? 0) && this.trace?.attentions ? head : null;
  });

  readonly #startModel: StartModel;
  #runner: { model: ModelEntry; runner: Promise<RunningModel> } | null = null;
  #latest = 0;
  /** What `changed` is of, and whether the trace of a newer change is under way. */
  #shown: Change = UNCHANGED;
  #painting = false;

  readonly #packs: Packs;

  constructor(startModel: StartModel, models: readonly ModelEntry[], pictures: readonly PictureEntry[], packs: Packs) {
    if (!models.length || !pictures.length) throw new Error("a page needs a model and a picture");
    this.#startModel = startModel;
    this.#packs = packs;
    this.models = models;
    this.pictures = pictures;
  }

  modelOf = (id: string): ModelEntry => this.models.find((model) => model.id === id) ?? this.models[0];
  /** The picture of this id; where none has it, the one that `model` starts with. */
  pictureOf = (id: string, model: ModelEntry): PictureEntry =>
    this.pictures.find((picture) => picture.id === id) ?? galleryOf(this.pictures, model.labels)[0];

  /** Show what an address names. */
  async open(hash: string): Promise<void> {
    this.selection.set(fromHash(hash));
    void this.#speak(this.selection.lang ?? this.#packs.own);
    const model = this.modelOf(this.selection.model);
    await this.show(this.pictureOf(this.selection.picture, model), model, { fresh: false });
  }

  /** Follow the address, where Back or Forward changed it. */
  async follow(hash: string): Promise<void> {
    const choices = fromHash(hash),
      model = this.modelOf(choices.model),
      picture = this.pictureOf(choices.picture, model);
    const lang = choices.lang ?? this.selection.lang; // Back leaves the page in its language
    this.selection.set({ ...choices, lang });
    if (lang) void this.#speak(lang);
    if (picture.id !== this.shownPicture?.id || model.id !== this.shownModel?.id)
      await this.show(picture, model, { fresh: false });
  }

  /** The address of what is shown now; an own photo is not in it. */
  get hash(): string {
    const choices: Choices = this.selection.choices,
      model = this.modelOf(choices.model),
      own = this.pictureOf(choices.picture, model).kind === "own";
    return toHash({
      ...choices,
      picture: own || choices.picture === this.pictureOf("", model).id ? DEFAULTS.picture : choices.picture,
      model: choices.model === this.models[0]?.id ? DEFAULTS.model : choices.model,
    });
  }

  choosePicture(id: string): Promise<void> {
    const model = this.modelOf(this.selection.model);
    return this.show(this.pictureOf(id, model), model);
  }

  /** Another model for the shown picture, or for one of its own gallery where it knows other classes. */
  chooseModel(id: string): Promise<void> {
    const model = this.modelOf(id),
      shown = this.pictureOf(this.selection.picture, model);
    return this.show(galleryOf(this.pictures, model.labels).includes(shown) ? shown : this.pictureOf("", model), model);
  }

  /** The languages that this page offers. */
  get languages(): readonly Language[] {
    return this.#packs.languages;
  }

  /** Speak another language from now on, and on the next visit. */
  async chooseLanguage(language: Language): Promise<void> {
    if (!(await this.#speak(language))) return;
    this.selection.lang = language;
    keep(language);
  }

  /** Whether the page speaks it now: it keeps the language that it has until the pack is here. */
  async #speak(language: Language): Promise<boolean> {
    const name = LANGUAGES[language];
    const before = this.notice?.kind === "busy" ? null : this.notice;
    if (!this.#packs.has(language)) this.say("busy", () => t("language.loading", { language: name }));
    const mine = this.notice;
    try {
      await this.#packs.speak(language);
      if (this.notice === mine) this.notice = before;
      return spoken.language === language;
    } catch {
      this.say("problem", () => t("language.failed", { language: name }));
      return false;
    }
  }

  /** Explain a photo of the visitor's. `name` says its name in the page's language. */
  takePhoto(source: Blob | HTMLCanvasElement, name: () => string): Promise<void> {
    const address = source instanceof Blob ? URL.createObjectURL(source) : source.toDataURL("image/jpeg", 0.9);
    const entry: PictureEntry = {
      id: `own-${this.pictures.length}`,
      get name() {
        return name();
      },
      kind: "own",
      truth: null,
      address,
      source: () => Promise.resolve(source),
    };
    return this.show(entry, this.modelOf(this.selection.model));
  }

  /** Compute and show; `fresh` forgets the kept token and class. */
  async show(picture: PictureEntry, model: ModelEntry, { fresh = true } = {}): Promise<void> {
    const mine = ++this.#latest;
    this.notice = null;
    this.progress = 0;
    try {
      const runner = await this.#start(model);
      const prepared = await prepare(picture, runner.config);
      if (mine !== this.#latest) return;
      const trace = await runner.explain(prepared, (done, all) => {
        if (mine === this.#latest) this.progress = done / all;
      });
      if (mine !== this.#latest) return;
      this.#put(picture, model, runner.model, trace, fresh);
      void this.#markAll(model, runner, mine);
    } catch (error) {
      if (mine !== this.#latest || isAbort(error)) return;
      this.progress = null;
      if (picture.kind === "own" && !this.pictures.includes(picture)) URL.revokeObjectURL(picture.address);
      this.fail(error);
    }
  }

  #put(picture: PictureEntry, model: ModelEntry, open: Model | null, trace: Trace, fresh: boolean): void {
    if (!this.pictures.includes(picture)) this.pictures = [...this.pictures, picture];
    if (fresh) this.selection.clearPicture();
    if (this.shownModel && this.shownModel !== model) {
      this.selection.set({ feature: null, key: null, depth: null });
      this.marks = {};
    }
    this.selection.set({ picture: picture.id, model: model.id });
    const isSame = picture === this.shownPicture,
      isOther = model !== this.shownModel;
    this.shownPicture = picture;
    this.shownModel = model;
    this.removed = new Set();
    // Another model is given the same change, where it has as many pixels.
    if (!isSame || trace.pixels.length !== this.untouched?.pixels.length) this.edits.forget();
    else if (isOther) this.edits.forgetTokens();
    this.#shown = UNCHANGED;
    this.changed = null;
    this.before = false;
    this.curtain = 0;
    this.model = open;
    this.untouched = trace;
    this.progress = null;
    this.#mark(picture, trace.labels, trace.probabilities);
    void this.paint();
  }

  async #start(model: ModelEntry): Promise<RunningModel> {
    if (this.#runner?.model !== model) {
      const before = this.#runner;
      const runner = this.#startModel(model);
      this.#runner = { model, runner };
      if (before)
        void before.runner.then(
          (old) => old.close(),
          () => undefined,
        );
      runner.catch(() => {
        if (this.#runner?.runner === runner) this.#runner = null; // so that the next try starts afresh
      });
    }
    return this.#runner.runner;
  }

  #mark(picture: PictureEntry, labels: readonly string[], probabilities: ArrayLike<number>): void {
    const best = argmax(probabilities),
      truth = labels.indexOf(picture.truth ?? "");
    const mark: Mark = {
      verdict: verdictOf(probabilities, truth < 0 ? null : truth, labels),
      label: labels[best],
      probability: probabilities[best],
    };
    this.marks = { ...this.marks, [picture.id]: mark };
  }

  /** Answer the other pictures of the gallery, one after the other, until something else is asked for. */
  async #markAll(model: ModelEntry, runner: RunningModel, mine: number): Promise<void> {
    const { output, labels } = runner.config;
    for (const picture of this.gallery) {
      if (mine !== this.#latest) return;
      if (this.marks[picture.id]) continue;
      try {
        const { pixels } = await prepare(picture, runner.config);
        const [logits] = await runner.answers(pixels, [null], { background: true });
        if (this.shownModel === model) this.#mark(picture, labels, probabilitiesOf(output, logits));
      } catch (error) {
        if (isAbort(error)) return;
      }
    }
  }

  /** The shown model as it runs. @throws {DOMException} an AbortError while another picture is under way */
  async running(): Promise<RunningModel> {
    if (!this.shownModel || this.progress !== null)
      throw new DOMException("another picture is under way", "AbortError");
    return this.#start(this.shownModel);
  }

  /** Show what `edits` says. While one trace is made, only the newest change waits. */
  async paint(): Promise<void> {
    this.before = false;
    if (this.#painting) return;
    this.#painting = true;
    try {
      for (;;) {
        const { change, pixels } = this.edits;
        if (isSamePass(change, this.#shown)) break;
        const mine = this.#latest,
          trace = await this.traceOf(pixels, change.masked);
        if (mine !== this.#latest) continue; // another picture, and its change
        this.changed = trace;
        this.#shown = change;
      }
      if (this.notice?.kind === "problem") this.notice = null;
    } catch (error) {
      this.edits.giveUp(this.#shown);
      this.fail(error);
    } finally {
      this.#painting = false;
      if (!this.isChanged) this.curtain = 0;
    }
  }

  /** The trace of the untouched picture with other pixels, or without some tokens; null where neither is changed. */
  async traceOf(pixels: Uint8Array | null, masked: ReadonlySet<number>): Promise<Trace | null> {
    const own = this.untouched;
    if (!own || (!pixels && !masked.size)) return null;
    const runner = await this.running();
    const { image, geometry } = own;
    const picture: Picture = { pixels: own.pixels, image, geometry };
    const mask = masked.size ? maskWithout(own.config.numTokens, masked) : null;
    return runner.trace(pixels ? withPixels(picture, pixels, runner.config) : picture, mask);
  }

  /** The shown picture as its model is given it. */
  get picture(): Picture {
    if (!this.trace) throw new DOMException("no picture is shown", "AbortError");
    const { pixels, image, geometry } = this.trace;
    return { pixels, image, geometry };
  }

  /** (K,) logits of the shown picture without the tokens that are 0 in each mask (N,), nor those that it lacks anyway. */
  async answers(
    masks: readonly TokenMask[],
    options: AnswersOptions = {},
    pixels?: Uint8Array,
  ): Promise<Float32Array[]> {
    const trace = this.ownPool,
      own = trace?.mask;
    const all = own ? masks.map((mask) => own.map((one, t) => one * (mask?.[t] ?? 1))) : masks;
    return (await this.running()).answers(pixels ?? trace?.pixels ?? this.picture.pixels, all, options);
  }

  /** The trace of a picture under a model, beside what is shown. Its own model shows a changed picture as it was before. */
  async compare(picture: PictureEntry, model: ModelEntry): Promise<Trace> {
    const same = model === this.shownModel,
      pixels = !same && picture === this.shownPicture && !this.before ? this.edits.pixels : null;
    const runner = await (same ? this.running() : this.#startModel(model));
    try {
      const own = await prepare(picture, runner.config);
      const fits = pixels?.length === own.pixels.length;
      return await runner.trace(pixels && fits ? withPixels(own, pixels, runner.config) : own);
    } finally {
      if (!same) runner.close();
    }
  }

  /** Say something below the verdict. */
  say(kind: Notice["kind"], words: () => string): void {
    this.notice = {
      kind,
      get text() {
        return words();
      },
    };
  }

  fail(error: unknown): void {
    if (!isAbort(error)) this.say("problem", () => problemSentence(error));
  }
}

/**
 * Write every choice into the address. Back undoes a change of picture, model or station. All stations that one film
 * opens are one entry: Back leaves them.
 * @param filming whether a film is open
 */
export function followAddress(session: Session, filming: () => boolean): () => void {
  let written = session.selection.choices,
    isFilmed = false; // whether this film has its entry
  const write = (): void => {
    const now = session.selection.choices,
      hash = session.hash,
      url = hash ? `#${hash}` : location.pathname + location.search;
    // An address may name no picture or model: that the page fills in its own is no change.
    const before = { ...written, picture: written.picture || now.picture, model: written.model || now.model };
    const isSame = isFilmed && !isEntry({ ...before, station: now.station }, now);
    const entry = session.shownPicture !== null && isEntry(before, now) && !isSame;
    if (entry) isFilmed = filming();
    if (entry) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    written = now;
  };
  const stop = $effect.root(() => {
    $effect(() => {
      const hash = session.hash;
      if (!session.trace) return;
      if (hash !== location.hash.slice(1)) write();
      else written = session.selection.choices; // an address that was opened is an entry of its own
      isFilmed &&= filming();
    });
  });
  const back = (): void => {
    void session.follow(location.hash);
    written = session.selection.choices;
  };
  addEventListener("popstate", back);
  return () => {
    removeEventListener("popstate", back);
    stop();
  };
}
