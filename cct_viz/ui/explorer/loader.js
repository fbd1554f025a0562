/**
 * Make modules of sources that came as text and import the last. A page loads them once, however many explorers it has.
 * @param {[string, string][]} sources name and text of each module, after those that it imports
 * @param {string} style the style sheet that the entry module hands to every explorer
 */
function loadModules(sources, style) {
  globalThis.cctExplorer ??= (async () => {
    const addresses = new Map();
    for (const [name, source] of sources) {
      const linked = source.replace(/(from ")\.\/([\w.]+)(";)/g, (_, from, other, end) => from + addresses.get(other) + end);
      const blob = new Blob([linked, `\n//# sourceURL=cct-explorer/${name}\n`], { type: "text/javascript" });
      addresses.set(name, URL.createObjectURL(blob));
    }
    const modules = await import(addresses.get(sources.at(-1)[0]));
    return { ...modules, style, sources: new Map(sources) };
  })();
  // What a worker begins with: it may not import what the page made, so it makes the same modules of its own.
  globalThis.cctWorkerScript ??= (entry) => {
    const needed = sources.slice(0, 1 + sources.findIndex(([name]) => name === entry));
    return `${loadModules}\nloadModules(${JSON.stringify(needed)}, "").catch((error) => setTimeout(() => { throw error; }));`;
  };
  return globalThis.cctExplorer;
}
