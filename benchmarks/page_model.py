"""The model inside the page, in headless Chromium: its passes beside ONNX Runtime's, curves, camera and memory.

    python benchmarks/page_model.py [--rounds N] [--models NAME_OR_FOLDER ...] [--onnxruntime-web DIR]

All ways take turns in one run, one picture at a time. Other programs slow down most passes, so the shortest of each way
counts; beside it the median of the processor time of a pass, which depends less on the load. A preset without trained
weights gets random weights, which cost the same.

DIR is where `npm install onnxruntime-web@1.30.0` ran, which computes with SIMD on one thread; without it these rows are
left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from trace import times_ms

import numpy as np
from conftest import CHROMIUM
from playwright.sync_api import Browser, Page, sync_playwright

from cct_viz.architecture.onnx_graph import build_graph
from cct_viz.architecture.presets import DEFAULT, PRESETS
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import safetensors
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import load
from cct_viz.web.html import PHOTOS
from cct_viz.web.site import write_page

WARM = 4  # passes before the measurement: browsers compile what runs often once more
AT_ONCE = 3  # passes before it is the next one's turn

# Each pass gets a picture that no pass had, so that no result of an earlier one is used again.
REPEAT = """async (rounds) => {
  const session = cctExplorer.session, times = [];
  for (let i = 0; i < rounds; i++) {
    const pixels = session.picture.pixels.slice();
    pixels[0] = window.passes = (window.passes ?? 0) + 1;
    const start = performance.now();
    await WAY;
    times.push(performance.now() - start);
  }
  return times;
}"""
SCORES = REPEAT.replace("WAY", "session.answers([null], {}, pixels)")
TRACE = REPEAT.replace("WAY", "session.traceOf(pixels, new Set())")
# A still of the camera with all that the page draws of it; the next one when this one is on the screen.
FRAMES = """async (rounds) => {
  const session = cctExplorer.session, canvas = document.createElement("canvas"), times = [];
  canvas.width = canvas.height = 240;
  const context = canvas.getContext("2d");
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    context.fillStyle = `hsl(${40 * i} 60% 50%)`;
    context.fillRect(10 * i, 20, 120, 160);
    await session.takePhoto(canvas, () => "camera");
    await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
    times.push(performance.now() - start);
  }
  return times;
}"""
CURVE = """async () => {
  const session = cctExplorer.session, start = performance.now();
  session.selection.open("curves");
  for (;;) {
    const text = document.querySelector("p.size-m.sentence")?.textContent ?? "";
    if (/random/.test(text) && !/are measured|falls faster/.test(text)) return performance.now() - start;
    await new Promise((wait) => setTimeout(wait, 10));
  }
}"""
ORT_PAGE = """<!doctype html><script src="ort.wasm.min.js"></script><script>
ort.env.wasm.numThreads = 1;
let session, feed;
async function open(size, tokens) {
  session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
  const random = Float32Array.from({ length: size[0] * size[1] * size[2] }, Math.random);
  feed = {
    images: new ort.Tensor("float32", random, [1, ...size]),
    token_mask: new ort.Tensor("float32", new Float32Array(tokens).fill(1), [1, tokens]),
  };
}
async function repeat(rounds, names) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    await session.run(feed, names ?? session.outputNames);
    times.push(performance.now() - start);
  }
  return times;
}
</script>"""
ORT_FILES = ["ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]


def open_classifier(name: str, scratch: Path) -> Classifier:
    """The model of a folder or a preset; a preset that has no weights gets random ones in `scratch`."""
    preset = PRESETS.get(name)
    if preset is None or preset.folder:
        return load(name)
    rng = np.random.default_rng(0)
    weights = {
        key: rng.normal(0, 0.05, shape).astype(np.float32) + np.float32(key.endswith("gamma"))
        for key, shape in expected_shapes(preset.config).items()
    }
    safetensors.write(scratch / name, preset.config, weights)
    return load(scratch / name)


def open_page(browser: Browser, path: Path) -> Page:
    page = browser.new_context(offline=True).new_page()
    page.set_default_timeout(0)
    page.goto(path.as_uri())
    page.wait_for_selector(".cct[data-ready]")
    return page


def write_plain_page(path: Path) -> Path:
    """The page whose policy forbids WebAssembly, so that it computes in JavaScript."""
    plain = path.with_name("javascript.html")
    plain.write_text(path.read_text("utf-8").replace(" 'wasm-unsafe-eval'", "", 1), "utf-8")
    return plain


@contextmanager
def serve(folder: Path):
    """The address of a server of these files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def open_onnxruntime_web(browser: Browser, classifier: Classifier, packages: Path, folder: Path, address: str) -> Page:
    for name in ORT_FILES:
        shutil.copy(packages / "node_modules/onnxruntime-web/dist" / name, folder)
    (folder / "model.onnx").write_bytes(build_graph(classifier.config, classifier.weights).SerializeToString())
    (folder / "index.html").write_text(ORT_PAGE)
    page = browser.new_page()
    page.set_default_timeout(0)
    page.goto(address)
    config = classifier.config
    page.evaluate("([size, tokens]) => open(size, tokens)", [[*config.image_size, config.channels], config.num_tokens])
    return page


Way = Callable[[int], list[float]]  # so many passes -> milliseconds of each


def take_turns(ways: dict[str, Way], rounds: int, processor: Callable[[], float]) -> dict[str, tuple[float, float]]:
    """Of each way the milliseconds of its shortest pass, and the median of its processor time."""
    best = dict.fromkeys(ways, np.inf)
    used: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(WARM)
    for _ in range(0, rounds, AT_ONCE):
        for name, way in ways.items():
            start = processor()
            best[name] = min(best[name], *way(AT_ONCE))
            used[name].append((processor() - start) / AT_ONCE)
    return {name: (best[name], float(np.median(used[name]))) for name in ways}


def measure(browser: Browser, classifier: Classifier, options: argparse.Namespace, scratch: Path) -> None:
    path = scratch / "page.html"
    write_page(classifier, PHOTOS / "chelsea.jpg", path)
    page = open_page(browser, path)
    process = max(renderers(browser), key=processor_ms)
    print(f"  the first drawing, from opening the file   {page.evaluate('performance.now()'):8.0f} ms")
    print(f"  the first pass after it                    {page.evaluate(SCORES, 1)[0]:8.1f} ms")
    page.evaluate(TRACE, 10)
    print(f"  memory of the tab's process at its peak    {megabytes(process, 'VmHWM'):8.0f} MB")

    plain = open_page(browser, write_plain_page(path))
    pixels = np.random.default_rng(0).integers(0, 256, (*classifier.config.image_size, 3), dtype=np.uint8)
    batch = normalise(pixels[None], classifier.config.preprocessing)

    def python(work: Callable[[], object]) -> Way:
        return lambda rounds: list(times_ms({"": work}, rounds, warm=0)[""])

    ways: dict[str, Way] = {
        "page, scores": lambda rounds: page.evaluate(SCORES, rounds),
        "page, a Trace": lambda rounds: page.evaluate(TRACE, rounds),
        "page without WebAssembly, scores": lambda rounds: plain.evaluate(SCORES, rounds),
        "page without WebAssembly, a Trace": lambda rounds: plain.evaluate(TRACE, rounds),
        "ONNX Runtime in Python, scores": python(lambda: classifier.forward(batch)),
        "ONNX Runtime in Python, a Trace": python(lambda: classifier.trace(pixels)),
    }
    folder = scratch / "served"
    folder.mkdir(exist_ok=True)
    with serve(folder) as address:
        if options.onnxruntime_web:
            web = open_onnxruntime_web(browser, classifier, options.onnxruntime_web, folder, address)
            ways["onnxruntime-web, scores"] = lambda rounds: web.evaluate("(n) => repeat(n, ['logits'])", rounds)
            ways["onnxruntime-web, all outputs"] = lambda rounds: web.evaluate("(n) => repeat(n)", rounds)
        processes = [*renderers(browser), Path("/proc/self")]
        measured = take_turns(ways, options.rounds, lambda: sum(map(processor_ms, processes)))
    for name, (took, used) in measured.items():
        print(f"  {name:42s} {took:8.2f} ms, {used:7.1f} ms of processor time")
    print(f"  a still of the camera, drawn               {min(page.evaluate(FRAMES, options.rounds)):8.1f} ms")
    start = processor_ms(process)
    print(f"  deletion and insertion with their bands    {page.evaluate(CURVE) / 1e3:8.2f} s", end="")
    print(f", {(processor_ms(process) - start) / 1e3:.2f} s of processor time")


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--models", nargs="+", default=[DEFAULT, "cct_7_3x1_32"])
    parser.add_argument("--onnxruntime-web", type=Path, metavar="DIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.environ.setdefault("CCT_VIZ_CACHE", str(Path(scratch) / "cache"))
        for name in options.models:
            classifier = open_classifier(name, Path(scratch))
            print(f"{classifier.source.name}: {classifier.num_parameters:,} parameters")
            # A new browser for each model, so that the peak memory is of this model
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            measure(browser, classifier, options, Path(scratch))
            browser.close()


if __name__ == "__main__":
    main()
