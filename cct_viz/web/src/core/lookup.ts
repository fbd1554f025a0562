import { problem } from "./problem.ts";

/**
 * An entry of a table by its name. Entries that the table inherits do not count.
 * @param what what the name stands for: "pool"
 * @throws {Error} the table has no such name; the message lists those that it has
 */
export function lookUp<T>(table: Readonly<Record<string, T>>, what: string, name: string): T {
  if (!Object.hasOwn(table, name)) throw problem("unknown", { what, name, known: Object.keys(table).join(", ") });
  return table[name] as T;
}
