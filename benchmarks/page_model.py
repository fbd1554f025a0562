"""The cost of the model in the page: time in headless Chromium compared with ONNX Runtime in Python, and memory.

    python benchmarks/page_model.py [--rounds N] [--models NAME ...]

Medians of one image at a time. For the page also the processor time, which does not depend on the load. A preset
without trained weights gets random weights, which cost the same. Targets on two cores: the bundled model 60 ms,
CCT-7/3x1 two seconds, each below 300 MB.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trace import median_ms

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from cct_viz.architecture.presets import DEFAULT, PRESETS
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import safetensors
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import load
from cct_viz.web.html import PHOTOS
from cct_viz.web.site import write_page

CHROMIUM = "/usr/bin/chromium"
WARM = 3  # passes before the measurement
WAYS = {
    "one pass that returns only the scores": "() => session.answers([null])",
    "one pass and everything in a Trace": "() => session.traceOf({})",
}


def weights_folder(name: str, scratch: Path) -> Path:
    """The preset's own folder, or a new one with random weights in `scratch`."""
    preset = PRESETS[name]
    if preset.folder:
        return preset.folder
    rng = np.random.default_rng(0)
    weights = {
        key: rng.normal(0, 0.05, shape).astype(np.float32) + np.float32(key.endswith("gamma"))
        for key, shape in expected_shapes(preset.config).items()
    }
    safetensors.write(scratch / name, preset.config, weights)
    return scratch / name


def measure_page(browser: Browser, classifier: Classifier, folder: Path, rounds: int) -> None:
    before = {process: megabytes(process, "VmRSS") for process in renderers(browser)}
    path = folder / f"{classifier.source.name}.html"
    write_page(classifier, PHOTOS / "chelsea.jpg", path)
    page = browser.new_context(offline=True).new_page()
    page.set_default_timeout(0)
    page.goto(path.as_uri())
    page.wait_for_selector(".cct[data-ready]")
    opened = page.evaluate("performance.now()")
    print(f"  page: from opening the file to the first drawing      {opened:7.1f} ms")
    repeat = """async (rounds) => {
      const session = cctExplorer.session, way = WAY, times = [];
      for (let i = 0; i < rounds; i++) {
        const start = performance.now();
        await way();
        times.push(performance.now() - start);
      }
      return times;
    }"""
    for name, way in WAYS.items():
        first = page.evaluate(repeat.replace("WAY", way), WARM)[0]
        start = sum(map(processor_ms, before))
        median = np.median(page.evaluate(repeat.replace("WAY", way), rounds))
        used = (sum(map(processor_ms, before)) - start) / rounds
        print(f"  page: {name:46s}{median:7.1f} ms, {used:.1f} ms of processor time; the first {first:.1f} ms")
    heap = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    process = max(before, key=processor_ms)  # the process that computed
    peak = megabytes(process, "VmHWM")
    print(
        f"  page: {heap:.0f} MB of script objects; the tab's process "
        f"{before[process]:.0f} MB before, {peak:.0f} MB at its peak"
    )
    page.context.close()


def renderers(browser: Browser) -> list[Path]:
    """The /proc folders of the processes that run pages and their workers. A browser keeps some spare ones."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return [Path(f"/proc/{process['id']}") for process in processes if process["type"] == "renderer"]


def megabytes(process: Path, field: str) -> float:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3


def processor_ms(process: Path) -> float:
    user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * 1e3 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--models", nargs="+", default=[DEFAULT, "cct_7_3x1_32"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.environ.setdefault("CCT_VIZ_CACHE", str(Path(scratch) / "cache"))
        for name in options.models:
            folder = weights_folder(name, Path(scratch))
            classifier = load(name if PRESETS[name].folder else folder)
            pixels = np.random.default_rng(0).integers(0, 256, (*classifier.config.image_size, 3), dtype=np.uint8)
            batch = normalise(pixels[None], classifier.config.preprocessing)
            print(f"{name}: {classifier.num_parameters:,} parameters")
            python = median_ms(
                {
                    "one pass, logits only": lambda batch=batch, c=classifier: c.forward(batch),
                    "one pass and everything in a Trace": lambda pixels=pixels, c=classifier: c.trace(pixels),
                },
                options.rounds,
            )
            for way, took in python.items():
                print(f"  ONNX Runtime: {way:38s}{took:7.1f} ms")
            # A new browser for each model, so that the peak memory is of this model
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
            )
            measure_page(browser, classifier, Path(scratch), options.rounds)
            browser.close()


if __name__ == "__main__":
    main()
