import { describe, expect, it } from "vitest";
import { POOLS } from "../model/pools.ts";
import en from "./en.json" with { type: "json" };
import { find, t } from "./index.ts";
import { count, number, percent, scaleEnd, signed } from "./numbers.ts";

describe("texts", () => {
  it("put values in and follow the number", () => {
    expect(t("tokens.grid", { rows: 8, columns: 8, count: 64 })).toBe("8 × 8 cells, read row by row, make 64 tokens.");
    expect(t("laboratory.dropped", { count: 1 })).toBe("One token is taken out.");
    expect(t("laboratory.dropped", { count: 2 })).toBe("2 tokens are taken out.");
  });

  it("refuse a missing value", () => {
    expect(() => t("tokens.grid", { rows: 8, columns: 8 })).toThrow(/tokens.grid needs a value for count/);
  });

  it("are found by keys made of parts, or not", () => {
    expect(find("pool.seqpool.title")).toContain("SeqPool");
    expect(find("pool.unheard.title")).toBeNull();
  });

  it.each(Object.keys(POOLS))("say of the pool %s what they say of the others", (pool) => {
    const head = `hero.head.pool.${pool}`;
    const ofPool = ["title", "evidence", "phone"].map((what) => `pool.${pool}.${what}`);
    const keys = [...ofPool, `phone.pool.${pool}`, `reader.${pool}`, `journey.pool.${pool}`, head, `${head}.about`];
    expect(keys.filter((key) => !(key in en))).toEqual([]);
  });

  it("are plain: each is a text or has one and other, and no marked term is left open", () => {
    for (const [key, entry] of Object.entries(en) as [string, unknown][]) {
      const forms = typeof entry === "string" ? [entry] : Object.values(entry as Record<string, string>);
      if (typeof entry !== "string") expect(Object.keys(entry as object).sort(), key).toEqual(["one", "other"]);
      for (const form of forms) expect(form.replace(/\[\w+:[^\]]*\]/g, ""), key).not.toMatch(/[[\]]/);
    }
  });
});

describe("numbers", () => {
  it.each([
    [signed(1.5), "+1.50"],
    [signed(-0.0976, 3), "−0.098"],
    [signed(-0.0001), "0.00"],
    [percent(0.974), "97.4\u00a0%"],
    [percent(0.0004), "0.04\u00a0%"],
    [percent(0), "0.0\u00a0%"],
    [number(-0.12345), "−0.123"],
    [scaleEnd(0.00832), "+0.0083"],
    [count(284330), "284\u00a0k"],
    [count(3_700_000), "3.7\u00a0M"],
  ])("%s", (made, expected) => {
    expect(made).toBe(expected);
  });
});
