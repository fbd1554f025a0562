// The Gradio app: the page inside one gr.HTML component; see cct_viz/app/page.py.

import { mount } from "svelte";
import App from "../App.svelte";
import { Session } from "../core/session.svelte.ts";
import type { Language } from "../i18n/language.svelte.ts";
import { askServer } from "./call.ts";
import { type CarriedModel, type CarriedPicture, fetchedPacks, openModels, openPictures } from "./carried.ts";
import { startWith } from "./engine.ts";
import { followNews } from "./news.ts";

/** What Gradio gives to the component's script. */
export interface Component {
  readonly element: HTMLElement;
  /** `value` is `Carried` in JSON. */
  readonly props: { readonly value: string };
}

interface Carried {
  readonly models: readonly CarriedModel[];
  readonly pictures: readonly CarriedPicture[];
  /** Addresses of the packs. */
  readonly languages: Readonly<Partial<Record<Language, string>>>;
}

export function openApp({ element, props }: Component): Session {
  const { models, pictures, languages } = JSON.parse(props.value) as Carried;
  const session = new Session(
    startWith(askServer),
    openModels(models),
    openPictures(pictures),
    fetchedPacks(languages),
  );
  void followNews(session);
  element.replaceChildren();
  mount(App, { target: element, props: { session } });
  return session;
}
