// The drawing alone, for development: ?trace=ADDRESS of a dump, &theme=dark, &compact, &unsure, &open=2, &token=9 ...

import { mount } from "svelte";
import "../../styles/tokens.css";
import "../../styles/base.css";
import Dev from "./Dev.svelte";
import { readDump } from "./dump.ts";

const page = document.getElementById("page"),
  words = new URLSearchParams(location.search);
if (!page) throw new Error("index.html has a page");
if (words.get("theme") === "dark") page.dataset["theme"] = "dark";
const dump = await readDump(words.get("trace") ?? "");
await document.fonts.load("16px Inter");
mount(Dev, { target: page, props: { ...dump, words } });
