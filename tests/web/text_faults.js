() => {
  const root = document.querySelector(".cct"),
    wide = innerWidth,
    found = [];
  const seen = (e) => {
    const s = getComputedStyle(e),
      r = e.getBoundingClientRect();
    return (
      s.visibility !== "hidden" &&
      s.opacity !== "0" &&
      r.width > 1 &&
      r.height > 1 &&
      !e.closest(".unseen, .skip, .corner, option, video, title, desc")
    );
  };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const scrolls = (e) => {
    for (let p = e; p && p !== root; p = p.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(p).overflowX)) return true;
    return false;
  };
  for (const e of root.querySelectorAll("*")) {
    if (!own(e) || !seen(e)) continue;
    const text = e.textContent.trim().slice(0, 40),
      r = e.getBoundingClientRect();
    if (!scrolls(e) && (r.right > wide + 1 || r.left < -1)) found.push(`outside: ${text}`);
    for (let p = e; p && p !== root; p = p.parentElement) {
      if (p instanceof SVGElement || getComputedStyle(p).display === "inline") continue;
      if (["hidden", "clip"].includes(getComputedStyle(p).overflowX) && p.scrollWidth > p.clientWidth + 1) {
        found.push(`cut: ${text}`);
        break;
      }
      if (p.matches("button") && p.scrollWidth > p.clientWidth + 1) {
        found.push(`spills: ${text}`);
        break;
      }
      if (["auto", "scroll"].includes(getComputedStyle(p).overflowX)) break;
    }
  }
  for (const svg of root.querySelectorAll("svg")) {
    const texts = [...svg.querySelectorAll("text")].filter((e) => seen(e) && e.textContent.trim());
    const boxes = texts.map((e) => e.getBoundingClientRect());
    boxes.forEach((a, i) =>
      boxes.slice(0, i).forEach((b, j) => {
        const x = Math.min(a.right, b.right) - Math.max(a.left, b.left),
          y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (x > 1 && y > 4)
          found.push(`over: ${texts[j].textContent.trim().slice(0, 25)} / ${texts[i].textContent.trim().slice(0, 25)}`);
      }),
    );
  }
  const strip = [...root.querySelectorAll(".strip button > span:last-child")].map((e) => e.getBoundingClientRect());
  strip.forEach((r, i) => i && strip[i - 1].right > r.left + 1 && found.push("strip overlap " + i));
  return [...new Set(found)];
};
