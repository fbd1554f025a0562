"""What a redraw of the explorer costs in headless Chromium, as a share of a frame at 60 Hz.

    python benchmarks/redraw.py [--rounds N]

The medians of the script's time; style and painting come on top. Marks: a whole frame for pages of the size of the
bundled model's, two for 196 tokens and more or 14 layers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from conftest import CHROMIUM, CHROMIUM_ARGUMENTS, make_trace, tiny_config
from playwright.sync_api import Page, sync_playwright

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.presets import DEFAULT
from cct_viz.inference.load import load
from cct_viz.inference.trace import Trace
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.html import page_html
from cct_viz.web.payload import About, make_payload

FRAME_MS = 1000 / 60
MANY = {
    "num_layers": 14,
    "num_heads": 6,
    "tokenizer": (ConvStage(6, pool_padding="same"), ConvStage(24, pool_padding="same")),
}
LESSON = "with the lesson open"
TOKEN = "{token: (i * 7) % data.n}"
# what is drawn: the state that is set first, and the change that is timed
PANELS = {
    **{
        station: (f"{{station: '{station}'}}", TOKEN)
        for station in ("pixels", "tokens", "seqpool", "classes", "laboratory")
    },
    **{
        f"attention, {view}, {way}": (
            f"{{station: 'attention', attentionView: '{view}', overlay: 'attention', direction: '{way}'}}",
            TOKEN,
        )
        for view in ("raw", "rollout", "paths")
        for way in ("row", "column")
    },
    "laboratory, its slider": ("{station: 'laboratory'}", "{pooling: 'beta', beta: (i % 100) / 20}"),
    LESSON: ("{pooling: 'model'}", TOKEN),
}
TIME = """({rounds}) => {
  const {store, data} = document.querySelector('#explorer').explorer, took = [];
  store.set(BEFORE); store.flush();
  for (let i = 1; i <= rounds; i++) { store.set(CHANGE); store.flush(); took.push(store.measured.at(-1)); }
  return took.sort((a, b) => a - b)[rounds >> 1];
}"""


def make_traces() -> dict[str, tuple[Trace, int]]:
    """name -> a picture's trace, and the frames that a redraw of it may take."""
    deer = next(path for path in EXAMPLES if path.stem == "deer")
    return {
        DEFAULT: (load(DEFAULT).trace(deer), 1),
        "14 x 20 tokens": (make_trace(tiny_config(image_size=(56, 80))), 2),
        "14 x 14 tokens, 14 layers": (make_trace(tiny_config(image_size=(56, 56), **MANY)), 2),
        "10 x 10 tokens, 14 layers, single heads": (make_trace(tiny_config(image_size=(40, 40), **MANY)), 2),
    }


def measure(page: Page, name: str, frames: int, rounds: int) -> None:
    for panel, (before, change) in PANELS.items():
        if panel == LESSON:
            page.get_by_role("button", name="Lesson").click()
        script = TIME.replace("BEFORE", before).replace("CHANGE", change)
        share = page.evaluate(script, {"rounds": rounds}) / FRAME_MS
        met = "met   " if share <= frames else "MISSED"
        print(f"{met} {name:42} {panel:28} {share:6.2f} of a frame  mark {frames}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        for name, (trace, frames) in make_traces().items():
            path = Path(scratch) / "page.html"
            path.write_text(page_html({"picture": make_payload(trace, About(name))}, title=name))
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector(".explorer .panel h2")
            measure(page, name, frames, rounds)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
