import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askServer } from "./call.ts";

const PIXELS = Uint8Array.of(1, 2, 3);
const AWAY = "the server does not answer; check the connection, then try again";

beforeEach(() => vi.stubGlobal("document", { baseURI: "https://a.example/cct/" }));
afterEach(() => vi.unstubAllGlobals());

const answering = (status: number, body: string): ReturnType<typeof vi.fn> => {
  const fetched = vi.fn(async () => new Response(body, { status }));
  vi.stubGlobal("fetch", fetched);
  return fetched;
};

test("the model and its pixels go to the server in one request, below the page's own address", async () => {
  const fetched = answering(200, '{"data": ["the payload"]}');
  expect(await askServer("large", PIXELS)).toBe("the payload");
  expect(String(fetched.mock.calls[0]?.[0])).toBe("https://a.example/cct/gradio_api/run/trace");
  expect(JSON.parse(fetched.mock.calls[0]?.[1].body)).toEqual({ data: ["large", "AQID"] });
});

test.each([503, 404])("the server's own sentence is said (%i)", async (status) => {
  answering(status, '{"detail": "The app is busy."}');
  await expect(askServer("large", PIXELS)).rejects.toThrow("The app is busy.");
});

test("a refusal is said in the page's language, with the server's reason", async () => {
  answering(422, '{"detail": "no model is called large"}');
  const said = "the server cannot run this model: no model is called large";
  await expect(askServer("large", PIXELS)).rejects.toThrow(said);
});

test.each([
  [502, "<html>Bad Gateway</html>"],
  [200, "{}"],
  [500, "{}"],
])("a proxy's page or an empty answer is no answer (%i)", async (status, body) => {
  answering(status, body);
  await expect(askServer("large", PIXELS)).rejects.toThrow(AWAY);
});

test("no connection is no answer", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(askServer("large", PIXELS)).rejects.toThrow(AWAY);
});
