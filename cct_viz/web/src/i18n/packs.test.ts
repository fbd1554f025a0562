import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { find, t } from "./index.ts";
import { ENGLISH, LANGUAGES, type Language, type Pack, spoken, tagOf } from "./language.svelte.ts";
import { labelName, modelName, pictureName } from "./names.ts";
import { count, fixed, grouped, number, percent, signed } from "./numbers.ts";
import { Packs } from "./packs.ts";
import { problem } from "../core/problem.ts";
import { problemSentence } from "./problems.ts";

type Texts = Record<string, string | Record<string, string>>;
const read = (name: string): Texts => JSON.parse(readFileSync(join(import.meta.dirname, name), "utf8")) as Texts;
const formsOf = (entry: Texts[string] | undefined): string[] =>
  entry === undefined ? [] : typeof entry === "string" ? [entry] : Object.values(entry);
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([match]) => match).sort();
const valuesOf = (text: string): string[] => [...new Set(all(text, /\{\w+\}/g))];
const marksOf = (text: string): string[] => all(text, /\[\w+:/g);

const OTHERS = (Object.keys(LANGUAGES) as Language[]).filter((language) => language !== "en");
const packOf = (language: Language): Pack =>
  language === "en"
    ? ENGLISH
    : ({
        texts: read(`${language}.json`),
        problems: read(`problems.${language}.json`),
        names: read(`names.${language}.json`),
      } as unknown as Pack);

afterEach(() => spoken.speak("en", ENGLISH));

it("there is a file for each language and none beside", () => {
  const files = readdirSync(import.meta.dirname).filter((name) => /^[a-z]{2}\.json$/.test(name));
  expect(files.sort()).toEqual(
    Object.keys(LANGUAGES)
      .map((language) => `${language}.json`)
      .sort(),
  );
});

it("the page's English is the file's, key by key", () => expect(ENGLISH.texts).toEqual(read("en.json")));

describe.each(OTHERS.flatMap((language) => ["", "problems."].map((stem) => [stem, language] as const)))(
  "%s%s.json",
  (stem, language) => {
    const english = read(`${stem}en.json`),
      other = read(`${stem}${language}.json`),
      shared = Object.keys(english).filter((key) => key in other);

    it("has the keys of English, no more and no fewer", () => {
      const missing = Object.keys(english).filter((key) => !(key in other)),
        extra = Object.keys(other).filter((key) => !(key in english));
      expect({ missing, extra }, `translate these keys in ${stem}${language}.json`).toEqual({ missing: [], extra: [] });
    });

    it("puts the same values in", () => {
      const wrong = shared.filter((key) => {
        const wanted = valuesOf(formsOf(english[key]).join(" ")),
          forms = formsOf(other[key]).map(valuesOf);
        const unknown = forms.flat().some((value) => !wanted.includes(value));
        return unknown || wanted.some((value) => !forms.at(-1)?.includes(value));
      });
      expect(wrong).toEqual([]);
    });

    it("marks the same terms", () => {
      const wrong = shared.filter((key) =>
        formsOf(other[key]).some((form) => `${marksOf(form)}` !== `${marksOf(formsOf(english[key]).at(-1) ?? "")}`),
      );
      expect(wrong).toEqual([]);
    });

    it("has the forms that its numbers need", () => {
      const { pluralCategories } = new Intl.PluralRules(tagOf(language)).resolvedOptions();
      const needed = ["one", "other"].filter((form) => pluralCategories.includes(form as Intl.LDMLPluralRule));
      const wrong = shared.filter((key) => {
        const [one, entry] = [english[key], other[key]];
        return typeof one === "string"
          ? typeof entry !== "string"
          : typeof entry !== "object" || `${Object.keys(entry).sort()}` !== `${needed}`;
      });
      expect(wrong).toEqual([]);
    });

    it("leaves no text empty", () => {
      expect(shared.filter((key) => formsOf(other[key]).some((form) => !form.trim()))).toEqual([]);
    });
  },
);

it("every language translates the same names", () => {
  const [first, ...rest] = OTHERS.map((language) => Object.keys(read(`names.${language}.json`)).sort());
  for (const names of rest) expect(names).toEqual(first);
});

describe("a page in another language", () => {
  it.each([
    ["en", "One token is taken out.", "2 tokens are taken out."],
    ["de", "Ein Token ist herausgenommen.", "2 Tokens sind herausgenommen."],
  ] as const)("follows the number in %s", (language, one, two) => {
    spoken.speak(language, packOf(language));
    expect([1, 2].map((n) => t("laboratory.dropped", { count: n }))).toEqual([one, two]);
  });

  it("counts 0 as one in French, and has one form in Chinese", () => {
    spoken.speak("fr", packOf("fr"));
    expect(t("hero.tokens", { count: 0 })).toBe("0 token");
    spoken.speak("zh", packOf("zh"));
    expect(t("hero.tokens", { count: 1 })).toBe(t("hero.tokens", { count: 2 }).replace("2", "1"));
  });

  it.each([
    ["en", "97.4\u00a0%", "−0.12", "3,072", "284\u00a0k", "2.50", "0.123"],
    ["de", "97,4\u00a0%", "−0,12", "3.072", "284\u00a0k", "2,50", "0,123"],
    ["fr", "97,4\u00a0%", "−0,12", "3\u00a0072", "284\u00a0k", "2,50", "0,123"],
    ["es", "97,4\u00a0%", "−0,12", "3072", "284\u00a0k", "2,50", "0,123"],
    ["zh", "97.4%", "−0.12", "3,072", "284\u00a0k", "2.50", "0.123"],
  ] as const)("writes numbers as %s does", (language, ...expected) => {
    spoken.speak(language, packOf(language));
    const made = [percent(0.974), signed(-0.12), grouped(3072), count(284330), fixed(2.5, 2), number(0.1234)];
    // Which of the two no-break spaces French takes depends on the browser's data.
    expect(made.map((text) => text.replaceAll("\u202f", "\u00a0"))).toEqual(expected);
  });

  it("writes the numbers of a problem as the language does", () => {
    spoken.speak("de", packOf("de"));
    const values = { name: "foto", width: 60000, height: 60, megapixels: 3.6, most: 2.5 };
    expect(problemSentence(problem("picture.pixels", values))).toMatch(/60000x60 .*3,6 .*2,5 /);
  });

  it("names classes, pictures and models, and leaves alone what it does not know", () => {
    spoken.speak("de", packOf("de"));
    expect(labelName("cat")).toBe("Katze");
    expect(labelName("aardvark")).toBe("aardvark");
    expect(pictureName({ kind: "example", name: "dog" })).toBe("Hund");
    expect(pictureName({ kind: "own", name: "dog" })).toBe("dog");
    expect(modelName("CCT-2/3x2, class token (comparison model)")).toBe("CCT-2/3x2, Klassen-Token (Vergleichsmodell)");
    expect(modelName("CCT-2/3x2 · 64 tokens")).toBe("CCT-2/3x2 · 64 Tokens");
  });

  it("says a problem that came in English, with its parts", () => {
    const error = problem("picture.other", {
      name: "a.tif",
      what: problem("kind.tiff"),
      accepted: problem("picture.accepted"),
    });
    expect(problemSentence(error)).toMatch(/^a\.tif is a TIFF image: .*are accepted\.$/);
    spoken.speak("de", packOf("de"));
    expect(problemSentence(error)).toMatch(/^a\.tif ist ein TIFF-Bild: .*angenommen werden.*\.$/);
    expect(problemSentence(problem("weights.away"))).toMatch(/^Das Modell/);
  });

  it("names every term of the glossary", () => {
    for (const language of OTHERS) {
      spoken.speak(language, packOf(language));
      expect(find("glossary.token"), language).not.toBeNull();
    }
  });
});

describe("the packs", () => {
  const visitor = (languages: string[], kept: string | null = null): void => {
    vi.stubGlobal("navigator", { languages });
    vi.stubGlobal("localStorage", { getItem: () => kept });
    vi.stubGlobal("document", { documentElement: { lang: "en" }, title: "" });
  };
  afterEach(() => void vi.unstubAllGlobals());
  const german = () => Promise.resolve(packOf("de"));

  it("follow the last visit, then the browser, then English", () => {
    const packs = new Packs({ de: german, fr: german });
    visitor(["pt-BR", "de-AT", "fr"]);
    expect(packs.own).toBe("de");
    visitor(["pt-BR", "de-AT"], "fr");
    expect(packs.own).toBe("fr");
    visitor(["pt-BR"], "zh"); // this page has no Chinese
    expect(packs.own).toBe("en");
    vi.stubGlobal("localStorage", undefined); // as in a sandboxed frame
    expect(packs.own).toBe("en");
    expect(packs.languages).toEqual(["en", "de", "fr"]);
  });

  it("keep the language until the pack is there, and after one that cannot be had", async () => {
    visitor(["en"]);
    let fails = true;
    const packs = new Packs({ de: () => (fails ? Promise.reject(new Error("offline")) : german()) });
    await expect(packs.speak("de")).rejects.toThrow("offline");
    expect(spoken.language).toBe("en");
    fails = false;
    await packs.speak("de");
    expect([spoken.language, document.documentElement.lang, t("close")]).toEqual(["de", "de", "Schließen"]);
  });

  it("let the last wish win", async () => {
    visitor(["en"]);
    let arrive: (pack: Pack) => void = () => undefined;
    const packs = new Packs({ de: () => new Promise((resolve) => (arrive = resolve)) });
    const slow = packs.speak("de");
    await packs.speak("en");
    arrive(packOf("de"));
    await slow;
    expect(spoken.language).toBe("en");
  });
});
