import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Session } from "../core/session.svelte.ts";
import { followNews } from "./news.ts";

type Told = Pick<Session, "models" | "hub">;
const model = (id: string): object => ({ id, title: id, config: '{"labels": ["a"]}', weights: null });
const session = (hub: Session["hub"] = null): Told => ({ models: [{ id: "first" } as Session["models"][number]], hub });

let asked: unknown[];
const answers = (...texts: (object | Error)[]): void => {
  asked = [];
  vi.stubGlobal("fetch", async (_: URL, { body }: { body: string }) => {
    asked.push(JSON.parse(body));
    const next = texts.shift();
    if (next instanceof Error) throw next;
    return new Response(JSON.stringify({ data: [JSON.stringify(next)] }));
  });
};

beforeEach(() => {
  vi.stubGlobal("document", { baseURI: "http://a.example/" });
  vi.useFakeTimers();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const line = (text: string, busy = false, canRetry = false): object => ({ text, busy, canRetry });

test("new models join those of the page, and no line about the Hub is none", async () => {
  const told = session();
  answers({ models: [model("first"), model("second")], hub: line("") });
  await followNews(told);
  expect(told.models.map(({ id }) => id)).toEqual(["first", "second"]);
  expect(told.hub).toBeNull();
});

test("it asks again while the server downloads", async () => {
  const told = session();
  answers({ models: [], hub: line("Downloading", true) }, { models: [], hub: line("Downloaded") });
  await followNews(told);
  expect(told.hub).toEqual({ text: "Downloading", busy: true, retry: null });
  await vi.runAllTimersAsync();
  expect(told.hub).toEqual({ text: "Downloaded", busy: false, retry: null });
  expect(asked).toEqual([{ data: [false, ["first"]] }, { data: [false, ["first"]] }]);
});

test("a failed download is tried again when asked", async () => {
  const told = session();
  answers({ models: [], hub: line("Offline", false, true) }, { models: [], hub: line("Downloaded") });
  await followNews(told);
  told.hub?.retry?.();
  await vi.waitUntil(() => told.hub?.text === "Downloaded");
  expect(asked[1]).toEqual({ data: [true, ["first"]] });
});

test("a server that does not answer is told where a line stands, with a way to ask again", async () => {
  const told = session({ text: "Downloading", busy: true, retry: null });
  answers(new TypeError("Failed to fetch"));
  await followNews(told);
  expect(told.hub?.text).toMatch(/^The server does not answer.*\.$/);
  expect(told.hub?.busy).toBe(false);
  expect(told.hub?.retry).not.toBeNull();
  const quiet = session();
  answers(new TypeError("Failed to fetch"));
  await followNews(quiet);
  expect(quiet.hub).toBeNull();
});
