"""What the page does when the pointer moves to another token, in headless Chromium, as a share of a frame at 60 Hz.

    python benchmarks/redraw.py [--rounds N]

Script, style and layout of one move, without painting: the mean over many moves of what Chromium itself counts. Mark: a
whole frame, for the bundled models (64 tokens) and for 256 tokens with seven layers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from conftest import CHROMIUM, CHROMIUM_ARGUMENTS, write_random_checkpoint
from playwright.sync_api import Page, sync_playwright

from cct_viz.architecture.presets import DEFAULT, PRESETS
from cct_viz.inference.load import load
from cct_viz.web.html import PHOTOS
from cct_viz.web.site import write_page

FRAME_MS = 1000 / 60
LARGE = "cct_7_3x1_32"  # 256 tokens, random weights: drawing them costs the same
PLACES = ("null", "'attention'", "'pool'", "'classes'")
COUNTED = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
MOVE = """async (rounds) => {
  const {selection, trace} = cctExplorer.session;
  for (let i = 0; i < rounds; i++) {
    selection.hover = (i * 7) % trace.config.numTokens;
    await new Promise(requestAnimationFrame);
  }
}"""


def measure(page: Page, name: str, rounds: int) -> None:
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def spent() -> float:
        """Seconds so far."""
        metrics = {metric["name"]: metric["value"] for metric in client.send("Performance.getMetrics")["metrics"]}
        return sum(metrics[counted] for counted in COUNTED)

    for place in PLACES:
        page.evaluate(f"cctExplorer.session.selection.open({place})")
        page.evaluate(MOVE, 10)
        start = spent()
        page.evaluate(MOVE, rounds)
        share = (spent() - start) * 1000 / rounds / FRAME_MS
        met = "met   " if share <= 1 else "MISSED"
        print(f"{met} {name:24} {place.strip(chr(39)):10} {share:6.2f} of a frame", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        large = write_random_checkpoint(Path(scratch) / LARGE, PRESETS[LARGE].config)
        for classifier in (load(DEFAULT), load(large)):
            path = Path(scratch) / "page.html"
            write_page(classifier, PHOTOS / "chelsea.jpg", path)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(path.as_uri())
            page.wait_for_selector(".cct[data-ready]", timeout=0)
            measure(page, classifier.source.name, rounds)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
