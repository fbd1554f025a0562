/**
 * Make modules of sources that came as text and import the last.
 * @param {[string, string][]} sources name and text of each module, after those that it imports
 * @returns {Promise<object>} what the last exports
 */
function importModules(sources) {
  (globalThis.cctSources ??= []).push(sources);
  // What a worker begins with: it may not import what the page made, so it makes the same modules of its own.
  globalThis.cctWorkerScript ??= (entry) => {
    const all = globalThis.cctSources.find((list) => list.some(([name]) => name === entry));
    const needed = all.slice(0, 1 + all.findIndex(([name]) => name === entry));
    return `${importModules}\nimportModules(${JSON.stringify(needed)}).catch((error) => setTimeout(() => { throw error; }));`;
  };
  const addresses = new Map();
  for (const [name, source] of sources) {
    const linked = source.replace(/(from ")\.\/([\w.]+)(";)/g, (_, from, other, end) => from + addresses.get(other) + end);
    const blob = new Blob([linked, `\n//# sourceURL=cct-explorer/${name}\n`], { type: "text/javascript" });
    addresses.set(name, URL.createObjectURL(blob));
  }
  return import(addresses.get(sources.at(-1)[0]));
}

/**
 * The explorer's modules, which a page imports once, however many explorers it has.
 * @param {[string, string][]} sources @param {string} style the style sheet that the entry module hands to every explorer
 */
function loadModules(sources, style) {
  globalThis.importModules ??= importModules; // for modules that come later
  globalThis.cctExplorer ??= importModules(sources).then((modules) => ({ ...modules, style, sources: new Map(sources) }));
  return globalThis.cctExplorer;
}
