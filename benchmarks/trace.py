"""The cost of one Trace, compared with the plain forward pass and with Keras.

    python benchmarks/trace.py [--model SOURCE] [--rounds N]

All ways run in turn in one process on the same image. Prints medians and their ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cct_viz.images.preprocessing import normalise
from cct_viz.inference.load import load
from cct_viz.inference.trace import Trace
from cct_viz.methods import METHODS, NotApplicable, explain, takes


def times_ms(ways: dict[str, Callable[[], object]], rounds: int, warm: int = 5) -> dict[str, np.ndarray]:
    """(rounds,) milliseconds of each way, measured in turn after `warm` rounds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for count in range(warm + rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if count >= warm:
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * np.array(values) for name, values in times.items()}


def median_ms(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    return {name: float(np.median(times)) for name, times in times_ms(ways, rounds).items()}


def forward_only(trace: Trace) -> list[str]:
    """The methods that need only a trace and apply to its model."""
    methods = []
    for method in METHODS:
        if not takes(method, "classifier"):
            try:
                explain(trace, method)
            except NotApplicable:
                continue
            methods.append(method)
    return methods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="keras_cct_cifar10")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    classifier = load(options.model)
    height, width = classifier.config.image_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    batch = normalise(image[None], classifier.config.preprocessing)
    trace = classifier.trace(image)

    methods = forward_only(trace)

    def all_maps() -> None:
        for method in methods:
            explain(trace, method)

    fast = median_ms(
        {
            "plain forward, ONNX Runtime, logits only": lambda: classifier.forward(batch),
            "Trace of the same image": lambda: classifier.trace(image),
            "all forward-only maps of a Trace": all_maps,
        },
        options.rounds,
    )
    import tensorflow as tf

    model = classifier.model
    graph = tf.function(model)
    model.predict(batch, verbose=0)
    slow = median_ms(
        {
            "Keras predict, logits only": lambda: model.predict(batch, verbose=0),
            "Keras in a tf.function, logits only": lambda: graph(batch).numpy(),
            "plain forward again": lambda: classifier.forward(batch),
        },
        max(10, options.rounds // 5),
    )
    bare = fast["plain forward, ONNX Runtime, logits only"]
    print(f"{classifier.source.name}, {os.cpu_count()} cores, {options.rounds} rounds, medians")
    for name, value in fast.items():
        print(f"{name:42} {value:8.2f} ms  {value / bare:6.2f} x plain")
    again = slow["plain forward again"]
    for name, value in slow.items():
        print(f"{name:42} {value:8.2f} ms  {value / again:6.2f} x plain again")


if __name__ == "__main__":
    main()
