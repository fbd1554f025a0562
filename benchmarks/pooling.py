"""What sequence pooling buys: the same small transformer with other kinds of pooling, on one recipe, seed and budget.

    python benchmarks/pooling.py --data cifar10 [--epochs N] [--seeds N] [--runs DIR] [--also SOURCE ...]

Trains CCT-2/3x2 with sequence pooling, mean pooling, max pooling and a class token, then CVT-2/4 and ViT-Lite-2/4, one
after the other, with the project's own command. If you start it again, it continues. Then it pools the tokens of the
models with sequence pooling in other ways, without training. Rewrites benchmarks/pooling.md after each model.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cct_viz.architecture.config import CCTConfig
from cct_viz.architecture.cost import count_macs, count_parameters
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import load
from cct_viz.methods.attention import effective_tokens
from cct_viz.methods.laboratory import Pooled, pool_shuffled, pool_uniformly, pool_with, sharpen, top_token
from cct_viz.training.data import Images, is_cifar10, load_images, split
from cct_viz.training.evaluate import evaluate

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "--recipe fast --warmup-epochs 1 --mixed-bfloat16"
Z = 1.96  # 95 % of a normal distribution lies within this many standard deviations


@dataclass(frozen=True)
class Model:
    """One row of the comparison: its title, the folder of its runs, and the options of `train`."""

    title: str
    folder: str
    options: str


MODELS = (
    Model("CCT-2/3x2, sequence pooling", "cct_2_3x2_seqpool", "--arch cct_2_3x2_32"),
    Model("CCT-2/3x2, mean pooling", "cct_2_3x2_mean", "--arch cct_2_3x2_32 --pool mean"),
    Model("CCT-2/3x2, class token", "cct_2_3x2_class_token", "--arch cct_2_3x2_32 --pool class_token"),
    Model("CCT-2/3x2, max pooling", "cct_2_3x2_max", "--arch cct_2_3x2_32 --pool max"),
    Model("CVT-2/4, sequence pooling", "cvt_2_4", "--arch cvt_2_4_32"),
    Model("ViT-Lite-2/4, class token", "vit_2_4", "--arch vit_2_4_32"),
)


@dataclass(frozen=True, eq=False)
class Outcome:
    """A model's config and, for each seed and validation image, whether its answer is correct: (seeds, n) bool."""

    config: CCTConfig
    right: np.ndarray


def train_model(model: Model, options: argparse.Namespace, seed: int) -> Path:
    """Train the model, or continue its training; returns its folder."""
    folder = options.runs / f"{model.folder}_seed{seed}"
    words = [*model.options.split(), *RECIPE.split(), "--epochs", str(options.epochs)]
    words += ["--seed", str(seed), "--data", options.data, "--out", str(folder)]
    print("python -m cct_viz train", *words, flush=True)
    subprocess.run([sys.executable, "-m", "cct_viz", "train", *words], cwd=ROOT, check=True)
    return folder


def answer_rightly(classifier: Classifier, images: Images) -> np.ndarray:
    """(n,) bool: whether the model's top-1 answer is the image's class."""
    batches = [images.x[start : start + 250] for start in range(0, len(images.x), 250)]
    logits = [classifier.forward(normalise(batch, classifier.config.preprocessing)) for batch in batches]
    return np.concatenate(logits).argmax(axis=1) == images.y


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a rate, when `right` of `n` answers are correct.

    Reference: Wilson 1927, Probable inference, the law of succession, and statistical inference, JASA 22.
    """
    rate, share = right / n, Z * Z / n
    centre = (rate + share / 2) / (1 + share)
    half = Z / (1 + share) * math.sqrt(rate * (1 - rate) / n + share / (4 * n))
    return centre - half, centre + half


def paired_difference(right: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Difference of two accuracies on the same images, right minus other, and half its 95 % interval.

    Only the images on which the two models differ count, so it is narrower than the intervals of the two accuracies.
    """
    difference = right.astype(float) - other.astype(float)
    return float(difference.mean()), Z * float(difference.std()) / math.sqrt(len(difference))


def swap_pools(classifier: Classifier, images: Images) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Pool the tokens of a model with sequence pooling with other weights.

    Returns:
        For each way of pooling (n,) bool, whether the answer is correct; and (n,) float, the effective number of tokens
        of the model's own weights.
    """
    prior = evaluate(classifier, images).position_prior
    numbers = iter(range(len(images.x)))
    ways: dict[str, Callable[..., Pooled]] = {
        "its own pooling weights": lambda trace: pool_with(trace, trace.pooling_weights),
        "equal weights (mean of the tokens)": pool_uniformly,
        "its own weights, shuffled over the tokens": lambda trace: pool_shuffled(trace, seed=next(numbers)),
        "position prior (its mean weights, the same for every image)": lambda trace: pool_with(trace, prior),
        "only the token with the largest weight": top_token,
        "inverted weights, softmax(-score)": lambda trace: sharpen(trace, -1.0),
    }
    right: dict[str, list[bool]] = {name: [] for name in ways}
    effective = []
    for trace, label in zip(classifier.traces(images.x), images.y, strict=True):
        effective.append(effective_tokens(trace.pooling_weights))
        for name, way in ways.items():
            right[name].append(bool(way(trace).logits.argmax() == label))
    return {name: np.array(answers) for name, answers in right.items()}, np.array(effective)


def format_models(outcomes: dict[Model, Outcome], options: argparse.Namespace) -> str:
    """The table of the trained models."""
    first = outcomes[MODELS[0]]
    n = first.right.shape[1]
    lines = [
        f"| model | accuracy (95 % interval, {n:,} images) | difference from the first model "
        "| parameters | MACs | epochs |",
        "|---|---|---|---|---|---|",
    ]
    for model, outcome in outcomes.items():
        rates = outcome.right.mean(axis=1)
        low, high = wilson_interval(round(rates.mean() * n), n)
        seeds = f"; seeds {rates.min():.2%} to {rates.max():.2%}" if len(rates) > 1 else ""
        mean, half = paired_difference(outcome.right.mean(axis=0), first.right.mean(axis=0))
        difference = "" if outcome is first else f"{100 * mean:+.2f} ± {100 * half:.2f} points"
        lines.append(
            f"| {model.title} | {rates.mean():.2%} ({low:.2%} to {high:.2%}{seeds}) | {difference} "
            f"| {count_parameters(outcome.config):,} | {count_macs(outcome.config) / 1e6:.1f} M | {options.epochs} |"
        )
    return "\n".join(lines)


def format_swaps(swaps: dict[str, tuple[dict[str, np.ndarray], np.ndarray]]) -> str:
    """The tables of the models whose pooling weights were replaced without training."""
    parts = []
    for title, (right, effective) in swaps.items():
        own = next(iter(right.values()))
        low, high = np.percentile(effective, [5, 95])
        parts += [
            f"### {title}\n",
            f"Effective number of tokens, exp(entropy of the weights): {effective.mean():.1f} on average, {low:.1f} to "
            f"{high:.1f} for 90 % of the images.\n",
            "| pooled with | accuracy | difference from its own weights |",
            "|---|---|---|",
        ]
        for name, answers in right.items():
            mean, half = paired_difference(answers, own)
            difference = "" if answers is own else f"{100 * mean:+.2f} ± {100 * half:.2f} points"
            parts.append(f"| {name} | {answers.mean():.2%} | {difference} |")
        parts.append("")
    return "\n".join(parts)


def _together(outcomes: dict[Model, Outcome]) -> str:
    """What the intervals of several differences from one model are worth, and which differences are left."""
    first, *others = outcomes.items()
    wider = NormalDist().inv_cdf(1 - 0.025 / max(1, len(others))) / Z
    left = []
    for model, outcome in others:
        mean, half = paired_difference(outcome.right.mean(axis=0), first[1].right.mean(axis=0))
        left += [model.title] * (abs(mean) > wider * half)
    return (
        f"Each interval holds for one difference alone. For all {len(others)} together (Bonferroni) they are "
        f"{wider:.2f} times as wide:\na difference of less than that may be chance. Different from the first model "
        f"by this measure: {'; '.join(left) or 'none'}."
    )


def write_report(
    outcomes: dict[Model, Outcome],
    swaps: dict[str, tuple[dict[str, np.ndarray], np.ndarray]],
    options: argparse.Namespace,
) -> None:
    seeds = "one seed" if options.seeds == 1 else f"{options.seeds} seeds"
    unknown = ", which one seed cannot show" if options.seeds == 1 else ""
    missing = [model.title for model in MODELS if model not in outcomes]
    also = " ".join(["", "--also", *(Path(source).name for source in options.also)]) if options.also else ""
    command = (
        f"python benchmarks/pooling.py --data {options.title} --epochs {options.epochs} --seeds {options.seeds}{also}"
    )
    text = f"""# What sequence pooling buys

    {command}

Each model is trained from random weights on {options.title} with the same recipe (`{RECIPE}`),
seed and budget. The budget is short: {options.epochs} epochs, {seeds}. The validation images were not used to choose
anything. The paper trains for 200 epochs or more; this experiment does not show which differences remain with such a
budget.{" Not trained yet: " + "; ".join(missing) + "." if missing else ""}

The interval of an accuracy is the Wilson interval over the validation images. The interval of a difference is narrower,
because it compares the same images in pairs. Neither interval includes the variation between seeds{unknown}.
{_together(outcomes)}

{format_models(outcomes, options)}

## The same tokens, pooled with other weights

No training: the tokens of a trained model are pooled with other weights. This shows how much the model uses its own
weights. It does not show what a model trained with another pool would do; the table above does. The position prior is
the mean of the model's weights over the same validation images.

{format_swaps(swaps)}"""
    (Path(__file__).with_suffix(".md")).write_text(text.rstrip() + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help='"cifar10" or an .npz with x and y')
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings of each model (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "pooling", metavar="DIR")
    parser.add_argument(
        "--also", nargs="*", default=[], metavar="SOURCE", help="more models to pool with other weights"
    )
    options = parser.parse_args()
    options.runs = options.runs.resolve()
    training, validation = split(load_images(options.data))
    options.title = "cifar10" if is_cifar10(training, validation) else Path(options.data).name
    outcomes: dict[Model, Outcome] = {}
    swaps = {}
    also = {Path(source).name: swap_pools(load(source), validation) for source in options.also}
    for model in MODELS:
        classifiers = [load(train_model(model, options, seed)) for seed in range(options.seeds)]
        right = np.stack([answer_rightly(classifier, validation) for classifier in classifiers])
        outcomes[model] = Outcome(classifiers[0].config, right)
        if classifiers[0].config.pool == "seqpool":
            swaps[f"{model.title}, seed 0"] = swap_pools(classifiers[0], validation)
        write_report(outcomes, swaps | also, options)


if __name__ == "__main__":
    main()
