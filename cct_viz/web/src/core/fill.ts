/**
 * A text with its values: {name} is put in, as `say` writes it.
 * @throws {Error} a value is missing
 */
export const fill = <V>(
  key: string,
  text: string,
  values: Readonly<Record<string, V>>,
  say: (value: V) => string = String,
): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the text ${key} needs a value for ${name}`);
    return say(value);
  });
