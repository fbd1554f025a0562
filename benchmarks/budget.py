"""The budget of one machine in one run: each result with its target, and compared with the usual ways.

    python benchmarks/budget.py [trace] [page] [batch] [deletion] [start] [size] [--rounds N]
    python benchmarks/budget.py official --official DIR [--rounds N]

Results are medians. For a ratio, the two sides are measured in turn. load.py measures many visitors. The usual ways are
in alternatives.py. DIR is a checkout of the repository of the paper's authors, with its PyTorch model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the app

from trace import forward_only, median_ms, times_ms

import numpy as np
from alternatives import Official, make_keras_way
from packaging.requirements import Requirement
from served import EXAMPLES, ROOT, call_endpoint, file_data, serve, upload

from cct_viz.architecture.presets import AUTHORS
from cct_viz.evaluation.faithfulness import PERMUTATIONS, measure
from cct_viz.images.encode import png
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import load
from cct_viz.methods import explain
from cct_viz.reports.figures import overlay, scale_limit
from cct_viz.web.payload import make_payload

MODEL = "keras_cct_cifar10"
OFFICIAL_MODEL = "cct_2_3x2_32_cifar10"


def report(what: str, result: str, target: str, met: bool) -> None:
    print(f"{'met   ' if met else 'MISSED'} {what:58} {result:>22}  target {target}", flush=True)


def run_trace(rounds: int) -> None:
    classifier = load(MODEL)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    batch = normalise(image[None], classifier.config.preprocessing)
    cost = median_ms({"bare": lambda: classifier.forward(batch), "trace": lambda: classifier.trace(image)}, rounds)
    ratio = cost["trace"] / cost["bare"]
    text = f"{ratio:.2f} ({cost['trace']:.2f} / {cost['bare']:.2f} ms)"
    report("Trace / plain forward pass in the same runtime", text, "1.25", ratio <= 1.25)


def run_page(rounds: int) -> None:
    classifier = load(MODEL)
    path = EXAMPLES[0]
    methods = forward_only(classifier.trace(path))
    ours = make_page(classifier, path)

    def ours_with_overlays() -> None:
        trace = classifier.trace(path)
        make_payload(trace)
        for method in methods:
            heat = explain(trace, method)
            png(overlay(trace, heat.maps[-1], signed=heat.signed, limit=scale_limit(heat), side=256))

    def floor() -> None:
        png(enlarged)

    enlarged = overlay(classifier.trace(path), np.zeros((8, 8)), signed=False, limit=1.0, side=256)
    names = {"page": ours, "overlays": ours_with_overlays, "one PNG of 256 pixels": floor}
    cost = median_ms(names, rounds)
    today = make_keras_way(classifier, path)
    theirs = median_ms({"today": today, "page": ours}, max(3, rounds // 30))
    cost["page"] = min(cost["page"], theirs["page"])
    report("everything for the page: Trace, maps, payload, PNGs", f"{cost['page']:.1f} ms", "15 ms", cost["page"] <= 15)
    ratio = theirs["page"] / theirs["today"]
    text = f"1/{1 / ratio:.0f} ({theirs['today']:.0f} ms)"
    report("  the same / predict and pyplot", text, "1/20", ratio <= 1 / 20)
    print(f"       with an overlay of 256 pixels for each of {len(methods)} maps {cost['overlays']:.1f} ms, ", end="")
    print(f"of which PNG encoding {len(methods) * cost['one PNG of 256 pixels']:.1f} ms")


def make_page(classifier: Classifier, path: Path) -> Callable[[], None]:
    """A function that makes everything that the page shows of a picture: trace, maps, payload with its PNGs."""
    methods = forward_only(classifier.trace(path))

    def page() -> None:
        trace = classifier.trace(path)
        for method in methods:
            explain(trace, method)
        make_payload(trace)

    return page


def run_official(rounds: int, checkout: Path | None = None) -> None:
    """Compare the authors' model with forward hooks and ours, with the same weights."""
    if checkout is None:
        print(f"       skipped the authors' model: give a checkout of {AUTHORS} with --official")
        return
    if not (checkout / "src" / "cct.py").is_file():
        print(f"       skipped the authors' model: {checkout} has no src/cct.py; give a checkout of {AUTHORS}")
        return
    try:
        import torch
    except ImportError:
        print("       skipped the authors' model: install PyTorch")
        return
    classifier = load(OFFICIAL_MODEL)
    path = EXAMPLES[0]
    preprocessing = classifier.config.preprocessing
    pixels = classifier.preprocess(path).pixels
    batch = normalise(pixels[None], preprocessing)
    official = Official(checkout, mean=preprocessing.mean, std=preprocessing.std, weights=classifier.weights)
    tensor = official.normalise(pixels)
    off = official.compare(classifier.trace(pixels))
    print(f"       {OFFICIAL_MODEL}: PyTorch's hooks and Trace agree within {off:.0e}; medians and fastest rounds")
    for threads in (2, 1):
        torch.set_num_threads(threads)
        bare = {"theirs": lambda: official.forward(tensor), "ours": lambda: classifier.forward(batch)}
        seen = {"theirs": lambda: official.see(pixels), "ours": lambda: classifier.trace(pixels)}
        report_ratio(f"plain forward pass, PyTorch's threads {threads}", times_ms(bare, rounds))
        report_ratio(f"hooks / Trace, PyTorch's threads {threads}", times_ms(seen, rounds))
    shown = {"theirs": lambda: official.show(path), "ours": make_page(classifier, path)}
    report_ratio("hooks and pyplot / everything for the page", times_ms(shown, max(3, rounds // 30)))
    report_first(path, checkout)


def report_first(path: Path, checkout: Path) -> None:
    """A new process, from its start to the first Trace: seconds and peak memory."""
    ways = {
        "theirs": "from PIL import Image; import numpy, pathlib, alternatives; "
        f"official = alternatives.Official(pathlib.Path({str(checkout.resolve())!r}), mean=(0, 0, 0), std=(1, 1, 1)); "
        f"official.see(numpy.array(Image.open({str(path)!r}).convert('RGB'))); ",
        "ours": f"from cct_viz.inference.load import load; load({OFFICIAL_MODEL!r}).trace({str(path)!r}); ",
    }
    paths = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "benchmarks")))}
    memory = {}

    def start(name: str) -> None:
        command = [sys.executable, "-c", ways[name] + "print(open('/proc/self/status').read())"]
        status = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths).stdout
        memory[name] = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1e3

    times = times_ms({name: lambda name=name: start(name) for name in ways}, 5)
    report_ratio("from the start to the first Trace", times)
    print(f"       {'its peak memory':45} {memory['theirs']:8.0f} / {memory['ours']:6.0f} MB")


def report_ratio(what: str, times: dict[str, np.ndarray]) -> None:
    ways = (times["theirs"], times["ours"])
    text = []
    for theirs, ours in ([np.median(way) for way in ways], [np.min(way) for way in ways]):
        text.append(f"{theirs:8.2f} / {ours:6.2f} ms = {theirs / ours:5.1f}")
    print(f"       {what:45} {text[0]}, fastest {text[1]}", flush=True)


def run_batch(rounds: int) -> None:
    """Trace and explain a folder of pictures by rollout, compared with plain batches of 64 of the same pixels."""
    classifier = load(MODEL)
    paths = [EXAMPLES[i % len(EXAMPLES)] for i in range(640)]
    pixels = np.stack([classifier.preprocess(path).pixels for path in paths])

    def bare() -> None:
        for start in range(0, len(pixels), 64):
            classifier.forward(normalise(pixels[start : start + 64], classifier.config.preprocessing))

    def ours() -> None:
        for trace in classifier.traces(paths, batch_size=64):
            explain(trace, "rollout")

    cost = median_ms({"bare": bare, "ours": ours}, max(3, rounds // 40))
    share = cost["bare"] / cost["ours"]
    text = f"{share:.0%} ({640e3 / cost['ours']:.0f} images/s)"
    report("batch explanations of a folder / plain images/s", text, "80%", share >= 0.8)


def run_deletion(rounds: int) -> None:
    classifier = load(MODEL)
    trace = classifier.trace(EXAMPLES[0])
    values = explain(trace, "contribution").maps[-1]
    count = (PERMUTATIONS + 1) * (len(trace.evidence) + 1)
    batch = np.repeat(normalise(trace.pixels[None], classifier.config.preprocessing), count, axis=0)
    calls = []
    original = classifier.forward

    def counted(images: np.ndarray, *mask: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return original(images, *mask)

    classifier.forward = counted  # type: ignore[method-assign]
    measure(classifier, trace, values)
    del classifier.forward
    run = sum(calls)
    batch = np.repeat(batch[:1], run, axis=0)

    def bare() -> None:
        for start in range(0, run, 64):
            classifier.forward(batch[start : start + 64])

    cost = median_ms({"bare": bare, "ours": lambda: measure(classifier, trace, values)}, max(3, rounds // 60))
    ratio = cost["ours"] / cost["bare"]
    text = f"{ratio:.2f} ({cost['ours'] / 1e3:.2f} s)"
    report(f"deletion curve with a band ({run:,} images) / plain", text, "1.2, 2 s", ratio <= 1.2)


def run_start(_: int) -> None:
    """From the command to the page and to the first answer. The first of two runs only fills the file cache."""
    code = "import time; s = time.perf_counter(); import gradio; print(time.perf_counter() - s)"
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        gradio = time.perf_counter() - started
        started = time.monotonic()
        with serve("--no-hub") as served:
            page = served.seconds_to_page

            async def first() -> None:
                path = await upload(served.port, "first.png", EXAMPLES[3].read_bytes())
                assert await call_endpoint(served.port, "classify", file_data(path))

            asyncio.run(first())
            answer = time.monotonic() - started
            memory = served.use().memory
    print(f"       import of Gradio, interpreter included {gradio:.2f} s; memory after two answers {memory:.0f} MB")
    report("command to served page, after the import of Gradio", f"+{page - gradio:.2f} s", "+1 s", page <= gradio + 1)
    report("command to first answer", f"+{answer - gradio:.2f} s", "+2 s", answer <= gradio + 2)


def run_size(_: int) -> None:
    """The installed size of everything in requirements.txt."""
    sizes: dict[str, float] = {}
    pending = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1] != "#"]
    while pending:
        asked = pending.pop()
        name = asked.name.lower().replace("_", "-")
        if name in sizes or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        sizes[name] = sum(file.size or 0 for file in package.files or []) / 1e6
        pending += [Requirement(text) for text in package.requires or []]
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:4]
    text = ", ".join(f"{name} {size:.0f}" for name, size in largest)
    print(f"       installed size {sum(sizes.values()):.0f} MB in {len(sizes)} packages ({text})")


PARTS: dict[str, Callable[..., None]] = {
    "trace": run_trace,
    "page": run_page,
    "official": run_official,
    "batch": run_batch,
    "deletion": run_deletion,
    "start": run_start,
    "size": run_size,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--official", metavar="DIR", type=Path, help="checkout of the paper's authors' repository")
    options = parser.parse_args()
    print(f"{MODEL}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    for name in options.parts or PARTS:
        PARTS[name](options.rounds, **({"checkout": options.official} if name == "official" else {}))


if __name__ == "__main__":
    main()
