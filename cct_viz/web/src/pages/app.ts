// The Gradio app: the page inside one gr.HTML component; see cct_viz/app/page.py.

import { mount } from "svelte";
import App from "../App.svelte";
import { problem } from "../core/problem.ts";
import { type Hub, Session } from "../core/session.svelte.ts";
import type { Language } from "../i18n/language.svelte.ts";
import { type CarriedModel, type CarriedPicture, fetchedPacks, openModels, openPictures } from "./carried.ts";
import { startWith } from "./engine.ts";

/** What Gradio gives to the component's script. `props` are texts in JSON that Python sets. */
export interface Component {
  readonly element: HTMLElement;
  readonly props: {
    /** `Carried`, once. */
    readonly value: string;
    /** `News`: models that came since, and the line about the Hub. */
    readonly news: string;
    /** `Answer` to the last picture that was sent. */
    readonly answer: string;
  };
  readonly watch: (prop: string, react: () => void) => void;
  readonly trigger: (event: string, data: unknown) => void;
}

interface Carried {
  readonly models: readonly CarriedModel[];
  readonly pictures: readonly CarriedPicture[];
  /** Addresses of the packs. */
  readonly languages: Readonly<Partial<Record<Language, string>>>;
}
interface News {
  readonly models: readonly CarriedModel[];
  readonly hub: { readonly text: string; readonly busy: boolean; readonly canRetry: boolean };
}
interface Answer {
  readonly id: number;
  readonly payload?: string;
  /** What kind of problem there was, and what the server says of it, in English. */
  readonly kind?: "model" | "pixels";
  readonly problem?: string;
}

const PATIENCE = 60_000; // milliseconds; the largest model takes two seconds

export function openApp({ element, props, watch, trigger }: Component): Session {
  const { models, pictures, languages } = JSON.parse(props.value) as Carried;
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  watch("answer", () => {
    const answer = JSON.parse(props.answer) as Answer;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const ask = (model: string, pixels: Uint8Array): Promise<string> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(problem("server.away"));
      }, PATIENCE);
      waiting.set(id, ({ payload, kind = "model", problem: reason = "" }) => {
        clearTimeout(timer);
        if (payload) resolve(payload);
        else reject(problem(`server.${kind}`, { reason }));
      });
      trigger("submit", { id, model, pixels: base64Of(pixels) });
    });
  const session = new Session(startWith(ask), openModels(models), openPictures(pictures), fetchedPacks(languages));
  const read = (): void => {
    if (!props.news) return;
    const { models: all, hub } = JSON.parse(props.news) as News;
    const known = new Set(session.models.map((model) => model.id));
    session.models = [...session.models, ...openModels(all.filter((model) => !known.has(model.id)))];
    session.hub = hub.text ? hubOf(hub, () => trigger("retry", {})) : null;
  };
  watch("news", read);
  read();
  element.replaceChildren();
  mount(App, { target: element, props: { session } });
  return session;
}

const hubOf = ({ text, busy, canRetry }: News["hub"], retry: () => void): Hub => ({
  text,
  busy,
  retry: canRetry ? retry : null,
});

function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}
