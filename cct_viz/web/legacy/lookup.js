// An entry of a table by its name; a name that is not in the table is an error that lists those that are.

/** @template T @param {Record<string, T>} table @param {string} what what the name stands for @param {string} name @returns {T} */
export function lookUp(table, what, name) {
  if (!Object.hasOwn(table, name)) throw new Error(`${what} is ${name}; expected one of ${Object.keys(table).join(", ")}`);
  return table[name];
}
