/** `make` of its arguments, computed again only where one of them is another than last time. */
export function keepLast<A extends readonly unknown[], R>(make: (...given: A) => R): (...given: A) => R {
  let last: { given: A; result: R } | null = null;
  return (...given) => {
    if (!last || given.some((value, i) => value !== last?.given[i])) last = { given, result: make(...given) };
    return last.result;
  };
}
