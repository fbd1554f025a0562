// What the server says after the page was made: models that came since, and the line about the Hub.

import type { Session } from "../core/session.svelte.ts";
import { problemSentence } from "../i18n/problems.ts";
import { call } from "./call.ts";
import { type CarriedModel, openModels } from "./carried.ts";

interface News {
  readonly models: readonly CarriedModel[];
  readonly hub: { readonly text: string; readonly busy: boolean; readonly canRetry: boolean };
}

const PAUSE = 2000; // milliseconds between two questions during a download

/** Ask now, and again while the server downloads. `again`: let it try a failed download once more. */
export async function followNews(session: Pick<Session, "models" | "hub">, again = false): Promise<void> {
  const retry = (): void => void followNews(session, true);
  try {
    const shown = session.models.map((model) => model.id);
    const { models, hub } = JSON.parse(await call("news", again, shown)) as News;
    const names = new Set(session.models.map((model) => model.id)); // an answer before this one may have brought some
    session.models = [...session.models, ...openModels(models.filter((model) => !names.has(model.id)))];
    session.hub = hub.text ? { text: hub.text, busy: hub.busy, retry: hub.canRetry ? retry : null } : null;
    if (hub.busy) setTimeout(() => void followNews(session), PAUSE);
  } catch (error) {
    // Nothing was said yet, and the page works without: then this is no news.
    if (session.hub) session.hub = { text: problemSentence(error), busy: false, retry };
  }
}
