// No word that a visitor sees or hears stands in a component: every one comes from the JSON files.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parse } from "svelte/compiler";
import { expect, it } from "vitest";

const SOURCES = join(import.meta.dirname, "..");
/** Attributes that are read out or shown. */
const SPOKEN = [
  "aria-label",
  "aria-description",
  "aria-roledescription",
  "aria-valuetext",
  "title",
  "alt",
  "placeholder",
  "label",
  "words",
  "unit",
  "text",
];
/** Names that are the same in every language. */
const SAME = ["Esc"];

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;
const childrenOf = (node: Node): Node[] => Object.values(node).flat().filter(isNode);
const hasWord = (text: string): boolean => /\p{L}{2,}/u.test(text) && !SAME.includes(text.trim());

/** Texts of an expression that may reach the page; what a function is given is not shown. */
function literalsOf(node: Node): string[] {
  if (node.type === "CallExpression" || node.type === "MemberExpression") return [];
  if (node.type === "BinaryExpression" && ["===", "!==", "in"].includes(String(node["operator"]))) return [];
  if (node.type === "ConditionalExpression")
    return [node["consequent"], node["alternate"]].filter(isNode).flatMap(literalsOf);
  if (node.type === "Literal") return typeof node["value"] === "string" ? [node["value"]] : [];
  if (node.type === "TemplateElement") return [String((node["value"] as { raw: string }).raw)];
  return childrenOf(node).flatMap(literalsOf);
}

function wordsOf(node: Node): string[] {
  if (node.type === "Text") return [String(node["data"])];
  if (node.type === "ExpressionTag") return literalsOf(node["expression"] as Node);
  if (node.type === "Attribute") {
    const { name, value } = node as unknown as { name: string; value: unknown };
    return SPOKEN.includes(name) ? [value].flat().filter(isNode).flatMap(wordsOf) : [];
  }
  if (/Directive$|^SpreadAttribute$/.test(node.type)) return [];
  if (["SnippetBlock", "IfBlock", "EachBlock", "KeyBlock", "AwaitBlock"].includes(node.type))
    return childrenOf(node)
      .filter(({ type }) => type === "Fragment")
      .flatMap(wordsOf);
  return childrenOf(node).flatMap(wordsOf);
}

const FILES = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((file) => !file.includes("dev_hero"));

const outside = (source: string): string[] =>
  wordsOf(parse(source, { modern: true }).fragment as unknown as Node).filter(hasWord);

it("finds words in texts, attributes and expressions", () => {
  expect(outside('<p title="Two words">{yes ? "Three more words" : t("key")} and one</p>')).toEqual([
    "Two words",
    "Three more words",
    " and one",
  ]);
  expect(outside('<p class="a b" style:color="red">{t("key")} × {name === "key" ? 1 : 2}</p>')).toEqual([]);
});

it("no component has words of its own", () => {
  const files = FILES.filter((file) => file.endsWith(".svelte"));
  expect(files.length).toBeGreaterThan(50);
  const found = files.flatMap((file) =>
    outside(readFileSync(join(SOURCES, file), "utf8")).map((words) => `${relative(".", file)}: ${words.trim()}`),
  );
  expect(found).toEqual([]);
});

it("only numbers.ts and language.svelte.ts format numbers for people", () => {
  const files = FILES.filter((file) => /\.(ts|svelte)$/.test(file) && !/\.test\.ts$|^i18n/.test(file));
  const local = files.filter((file) => /toLocale|\bIntl\./.test(readFileSync(join(SOURCES, file), "utf8")));
  expect(local).toEqual([]);
});

it("every text is used: a source names its key, or a pattern of keys such as `place.${name}`", () => {
  const sources = FILES.filter((file) => /\.(ts|svelte)$/.test(file) && !file.endsWith(".test.ts"))
    .map((file) => readFileSync(join(SOURCES, file), "utf8"))
    .join("\n");
  const unused = (key: string): boolean => !sources.includes(`"${key}"`) && !patterns.some((one) => one.test(key));
  const patterns = [...sources.matchAll(/(?<=`)(?:[\w.]|\$\{[^{}`]*\})+(?=`)/g)]
    .map(([template]) => template.split(/\$\{[^}]*\}/).map((part) => part.replaceAll(".", "\\.")))
    .filter((parts) => /^[\w\\.]{3,}$/.test(parts.join("")))
    .map((parts) => new RegExp(`^${parts.join("\\w*")}$`));
  const read = (name: string): object => JSON.parse(readFileSync(join(import.meta.dirname, name), "utf8")) as object;
  expect(unused("place.pixels.nowhere")).toBe(true);
  expect(Object.keys(read("en.json")).filter(unused)).toEqual([]);
  expect(Object.keys(read("problems.en.json")).filter(unused)).toEqual([]);
});
