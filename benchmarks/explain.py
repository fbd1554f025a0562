"""The cost of explanations: all maps of one forward pass, each method alone, and a deletion curve with its band.

    python benchmarks/explain.py [--model SOURCE] [--rounds N] [--gradients]

Medians over rounds, measured in turn in one process. Targets for the bundled model and two cores: 3 ms for all methods
that need only the arrays of a trace, 2 s for a deletion curve with one step a token and a band of 20 random orders.
Target for CCT-7/3x1: the split of one class over the tokens at every depth takes at most 3 forward passes. The ratio
for all classes in one walk is printed too; it grows with their number.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the app
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trace import forward_only, median_ms

import numpy as np

from cct_viz.evaluation.faithfulness import PROTOCOLS, measure
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.load import load
from cct_viz.methods import METHODS, NotApplicable, explain, takes
from cct_viz.methods.input_split import class_direction, split_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="keras_cct_cifar10")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--gradients", action="store_true", help="also measure methods that perturb or differentiate")
    options = parser.parse_args()
    classifier = load(options.model)
    height, width = classifier.config.image_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    trace = classifier.trace(image)

    def applies(method: str) -> bool:
        try:
            explain(trace, method, classifier=classifier)
        except NotApplicable:
            return False
        return True

    batch = normalise(trace.pixels[None], classifier.config.preprocessing)
    one = class_direction(trace, trace.class_index(), None)
    print(f"{classifier.source.name}, {os.cpu_count()} cores, {options.rounds} rounds, medians")
    walks = median_ms(
        {
            "forward pass": lambda: classifier.forward(batch),
            "split of one class at every depth": lambda: split_scores(trace, one),
            f"split of {len(trace.labels)} classes at every depth": lambda: split_scores(trace),
        },
        options.rounds,
    )
    for name, cost in walks.items():
        print(f"{name:42} {cost:9.2f} ms  {cost / walks['forward pass']:.1f} forward passes", flush=True)
    methods = forward_only(trace)

    alone_methods = forward_only(dataclasses.replace(trace, weights=None))  # the others cost a walk through the weights

    def explain_fresh() -> None:
        seen = classifier.trace(image)  # a new trace, because a trace caches results
        start = time.perf_counter()
        for method in alone_methods:
            explain(seen, method)
        fresh.append(time.perf_counter() - start)

    fresh: list[float] = []
    alone = median_ms(
        {method: lambda method=method: explain(trace, method) for method in methods} | {"all": explain_fresh},
        options.rounds,
    )
    for method in methods:
        print(f"{method:42} {alone[method]:9.2f} ms")
    print(f"{'all methods of a new trace without weights':42} {1e3 * float(np.median(fresh[5:])):9.2f} ms  target 3 ms")
    values = explain(trace, methods[0]).maps[-1]
    for protocol in PROTOCOLS:
        cost = median_ms({protocol: lambda p=protocol: measure(classifier, trace, values, protocol=p)}, 3)[protocol]
        print(f"{f'deletion curve and band, {protocol}':42} {cost:9.2f} ms  target 2,000 ms")
    if options.gradients:
        slow = [method for method in METHODS if takes(method, "classifier") and applies(method)]
        ways = {
            method: lambda method=method: explain(classifier.trace(image), method, classifier=classifier)
            for method in slow
        }
        for method, cost in median_ms(ways, max(3, options.rounds // 20)).items():
            print(f"{method:42} {cost:9.2f} ms")


if __name__ == "__main__":
    main()
