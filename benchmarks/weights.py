"""Load damaged weights: each of many random mutations must be refused with a readable message, or change nothing.

    python benchmarks/weights.py [--mutations N] [--seed S] [--saved-model DIR]

Damages two folders, one file at a time: the bundled weights, loaded as in the app, and a SavedModel of the keras.io
example, read as from the Hub. Targets: 0 crashes, 0 hangs, 0 silent changes, each refusal is a readable message.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from cct_viz import checkpoints
from cct_viz.architecture.presets import PRESETS
from cct_viz.checkpoints import CheckpointError
from cct_viz.inference.load import load

ROOT = Path(__file__).resolve().parent.parent
HANG_SECONDS = 60.0
BUNDLED = "keras_cct_cifar10"


def digest_of(config: object, weights: dict[str, np.ndarray]) -> str:
    """SHA-256 of what a reader returned: the configuration with its labels, and every weight."""
    digest = hashlib.sha256(repr(config).encode())
    for name in sorted(weights):
        digest.update(name.encode() + str(weights[name].shape).encode() + weights[name].tobytes())
    return digest.hexdigest()


def load_bundled(folder: Path) -> str:
    """Load `folder` in place of the bundled weights and classify a picture with it."""
    preset = replace(PRESETS[BUNDLED], folder=folder)
    before = dict(PRESETS)
    try:
        PRESETS[BUNDLED] = preset
        model = load(BUNDLED)
    finally:
        PRESETS.update(before)
    logits = model.trace(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).logits
    return digest_of(model.config, {**model.weights, "logits": logits})


def read_saved_model(folder: Path) -> str:
    checkpoint = checkpoints.read(folder)
    return digest_of(checkpoint.config, checkpoint.weights)


def try_folder(load: Callable[[Path], str], folder: Path) -> tuple[str, str]:
    """Runs in a child process: ("read", digest), ("refused", message) or ("raised", error)."""
    try:
        return "read", load(folder)
    except CheckpointError as error:
        return "refused", str(error)
    except Exception as error:
        return "raised", f"{type(error).__name__}: {error}"


def damage(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The name of a mutation and the mutated bytes, which always differ from `data`."""
    while True:
        kind = str(rng.choice(["bit", "bits", "zeros", "noise", "cut", "gap", "doubled", "moved", "emptied"]))
        start = int(rng.integers(len(data)))
        length = int(2 ** rng.uniform(0, 14))
        piece = data[start : start + length]
        if kind in ("bit", "bits"):
            new = bytearray(data)
            for position in [start, *rng.integers(len(data), size=19 * (kind == "bits"))]:
                new[position] ^= 1 << int(rng.integers(8))
        elif kind in ("zeros", "noise"):
            new = bytearray(data)
            new[start : start + length] = bytes(len(piece)) if kind == "zeros" else rng.bytes(len(piece))
        elif kind == "cut":
            new = data[:start]
        elif kind == "gap":
            new = data[:start] + data[start + length :]
        elif kind == "doubled":
            new = data[:start] + piece + data[start:]
        elif kind == "moved":
            rest = data[:start] + data[start + length :]
            place = int(rng.integers(len(rest) + 1))
            new = rest[:place] + piece + rest[place:]
        else:
            new = b""
        if bytes(new) != data:
            return kind, bytes(new)


def run(title: str, source: Path, names: list[str], load: Callable[[Path], str], mutations: int, seed: int) -> bool:
    """Damage one of the files `names` at a time; prints the results and returns whether the targets are met."""
    rng, counts, wrong = np.random.default_rng(seed), Counter(), []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(shutil.copytree(source, Path(parent) / source.name))
        pool = ProcessPoolExecutor(1, get_context("spawn"))
        verdict, good = pool.submit(try_folder, load, folder).result()
        if verdict != "read":
            raise SystemExit(f"{source} cannot be read even without damage: {good}")
        slowest, started = 0.0, time.monotonic()
        for number in range(mutations):
            name = names[number % len(names)]
            path = folder / name
            original = path.read_bytes()
            kind, new = damage(original, rng)
            path.write_bytes(new)
            begun = time.monotonic()
            try:
                verdict, text = pool.submit(try_folder, load, folder).result(HANG_SECONDS)
            except (BrokenProcessPool, TimeoutError) as error:
                verdict, text = ("hang" if isinstance(error, TimeoutError) else "crash"), str(error)
                for process in list(pool._processes.values()):
                    process.kill()
                pool.shutdown(wait=False, cancel_futures=True)
                pool = ProcessPoolExecutor(1, get_context("spawn"))
            slowest = max(slowest, time.monotonic() - begun)
            path.write_bytes(original)
            if verdict == "read":
                verdict = "harmless" if text == good else "SILENT"
            if verdict == "refused" and ("\n" in text or parent in text or not text.isprintable()):
                verdict = "unreadable message"
            counts[verdict] += 1
            if verdict not in ("refused", "harmless"):
                wrong.append(f"{verdict}: mutation {number}, {kind} of {name}: {text[:200]}")
        pool.shutdown()
    print(
        f"{title}: {mutations} mutations, {dict(counts)}; slowest {slowest:.2f} s, {time.monotonic() - started:.0f} s"
    )
    print("\n".join(wrong) or "0 crashes, 0 hangs, 0 silent changes, each refusal is a readable message", flush=True)
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1000, help="of each folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--saved-model", type=Path, default=ROOT / "tests" / "data" / "keras_io_saved_model")
    options = parser.parse_args()
    preset = PRESETS[BUNDLED]
    folder, saved = preset.folder, options.saved_model
    parts = sorted(path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file())
    parts = [name for name in parts if name.endswith(".pb") or name.startswith("variables/")]
    good = run("bundled weights", folder, sorted(preset.sha256), load_bundled, options.mutations, options.seed)
    good &= run("SavedModel", saved, parts, read_saved_model, options.mutations, options.seed)
    sys.exit(not good)


if __name__ == "__main__":
    main()
