"""One identity at every depth: the same class score, split over the tokens before, between and after the blocks.

With the decisions of the network frozen (`frozen.py`), y_c = sum_t <G^l_ct, x^l_t> + k^l_c at every depth l, exactly.
At the pool, x^L are the tokens that it reads and the parts are the contributions of `pooling.py`. Before block l + 1,
x^l is the residual stream; before the first block the parts are what each token brought in before any mixing, with the
positional embedding apart. Tokenizers without bias carry the split on to the pixels. The score stays the same from
depth to depth; its owners change as attention carries it.

Each method explains one class against the mean class, or against the class that `against` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..images.preprocessing import normalise
from ..inference.heatmaps import Heatmaps
from ..inference.trace import NotApplicable, Trace
from .depth import depth_names
from .frozen import Scores, require_weights_of_model, walk_back
from .frozen_tokenizer import before_tokenizer
from .pixels import PixelMap, on_tokens


@dataclass(frozen=True, eq=False)
class InputSplit:
    """C scores as sums over the tokens, at D = L + 1 depths; the first is the encoder's input, the last the pool.

    Attributes:
        names: D captions.
        parts: (D, M, C) float64: what each token adds to each score at each depth.
        constants: (D, C) float64: what the biases behind that depth add.
        position: (M, C) float64: the part of parts[0] that comes from the positional embedding.
        errors: (D,) float64: the largest error of parts + constants against the scores, for each depth.
        input: the scores as affine functions of the encoder's input.
    """

    names: tuple[str, ...]
    parts: np.ndarray
    constants: np.ndarray
    position: np.ndarray
    errors: np.ndarray
    input: Scores


def split_scores(trace: Trace, directions: np.ndarray | None = None) -> InputSplit:
    """Split scores over the tokens at every depth, all in one walk back through the network.

    Args:
        directions: (K, C): the scores are y @ directions, for example the column e_A - e_B for class A against B. By
            default the identity matrix: every class. The cost grows with C.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
    """
    directions = np.eye(len(trace.labels)) if directions is None else directions
    depths = []
    for x, scores in walk_back(trace, directions):
        depths.append((scores.parts(x).T, scores.constant))
    parts, constants = (np.stack(arrays) for arrays in zip(*reversed(depths), strict=True))
    errors = np.abs(parts.sum(axis=1) + constants - trace.logits.astype(np.float64) @ directions).max(axis=1)
    position = trace.readout_weights.position
    brought = np.zeros_like(parts[0]) if position is None else scores.parts(position).T
    return InputSplit((*depth_names(trace)[:-1], "at the pool"), parts, constants, brought, errors, scores)


def input_contribution(trace: Trace, *, target: int, against: int | str | None = None) -> Heatmaps:
    """Input contribution: what each token brings to the class score before attention mixes the tokens.

    <G_tc, token_t> with all decisions of the network frozen, (1, gh, gw) in logits against the mean class. The note
    gives the parts of the positional embedding (of all tokens together), a class token and the biases; with them the
    map sums exactly to the score. Source: ours, from the frozen network of Ali et al. 2022,
    https://arxiv.org/abs/2202.07304, and LibraGrad (Mehri et al. 2025), https://arxiv.org/abs/2411.16760. Limit: a
    frozen decision is not explained: which token attends to which, and by how much, is taken as given.

    Args:
        against: another class, by name or index; by default the mean of all classes.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
        ValueError: both classes are the same.
    """
    split = _split(trace, target, against)
    tokens = (split.parts[0] - split.position)[:, 0]
    first = int(trace.has_class_token)
    others = {"position": split.position.sum(), "class token": tokens[:first].sum(), "biases": split.constants[0, 0]}
    summands = {"tokens": tokens[first:].sum(), **{name: value for name, value in others.items() if value}}
    score = sum(summands.values())
    note = f"Score {score:+.2f} = {', '.join(f'{name} {value:+.2f}' for name, value in summands.items())}."
    checks = {"sums to the score": float(split.errors[0])}
    return _signed(trace, tokens[None], (_versus(trace, target, against),), "input_contribution", checks, note)


def contribution_by_depth(trace: Trace, *, target: int, against: int | str | None = None) -> Heatmaps:
    """Contribution by depth: the same class score, split over the tokens before and after each block.

    <G^l_tc, x^l_t> with all decisions of the network frozen; (L + 1, gh, gw) in logits against the mean class: first
    the encoder's input with its positional embedding, last the contributions at the pool. Each map and the biases
    behind it sum exactly to the score. With a class token its part goes to class_share. Source: ours, as of
    `input_contribution`. Limit: a token after a block has collected from other tokens, so only the first map belongs
    to the place it is drawn at.

    Args:
        against: another class, by name or index; by default the mean of all classes.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
        ValueError: both classes are the same.
    """
    split = _split(trace, target, against)
    checks = {f"sums to the score {name}": float(e) for name, e in zip(split.names, split.errors, strict=True)}
    return _signed(trace, split.parts[..., 0], split.names, "contribution_by_depth", checks)


def depth_sum(trace: Trace, *, target: int, against: int | str | None = None) -> Heatmaps:
    """Contribution summed over depths: a ranking of the tokens by what they hold of the score at all depths.

    sum_l <G^l_tc, x^l_t>, (1, gh, gw) in logits; a token ranks high if the score passes through it at many depths.
    Source: ours; FullGrad (Srinivas and Fleuret 2019), https://arxiv.org/abs/1905.00780, sums over depths too. Limit:
    it is a ranking and no split: it sums to L + 1 times the score, without the biases of each depth.

    Args:
        against: another class, by name or index; by default the mean of all classes.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
        ValueError: both classes are the same.
    """
    split = _split(trace, target, against)
    name = f"{_versus(trace, target, against)}, {len(split.parts)} depths"
    checks = {"every depth sums to the score": float(split.errors.max())}
    return _signed(trace, split.parts[..., 0].sum(axis=0)[None], (name,), "depth_sum", checks)


def pixel_contribution(trace: Trace, *, target: int, against: int | str | None = None) -> Heatmaps:
    """Pixel contribution: what each pixel brings to the class score, shared among the tokens that see it.

    The input contribution carried on through the tokenizer, with the winners of ReLU and max pool frozen; (1, gh, gw)
    in logits. A tokenizer without bias is positively homogeneous, so the pixels sum to the tokens' part, exactly. A
    pixel counts relative to the normalisation's mean colour, which is 0 to the model. Source: ours, as of
    `input_contribution`. Limit: a pixel of the mean colour gets 0, whatever it shows.

    Args:
        against: another class, by name or index; by default the mean of all classes.

    Raises:
        NotApplicable: the tokenizer has biases, or the trace does not come with the weights of its model.
        ValueError: both classes are the same.
    """
    return on_tokens(trace, split_pixels(trace, target, against), _versus(trace, target, against))


def split_pixels(trace: Trace, target: int, against: int | str | None = None) -> PixelMap:
    """`pixel_contribution` at the resolution of the model's pixels, signed."""
    config, _ = require_weights_of_model(trace)
    if any(stage.use_bias for stage in config.tokenizer):
        raise NotApplicable("this model's tokenizer has biases, so its tokens do not split over the pixels")
    split = _split(trace, target, against)
    first = int(trace.has_class_token)
    tokens = float((split.parts[0] - split.position)[first:].sum())
    slope = before_tokenizer(trace, split.input.slope[:, first:])[0]  # (H, W, C)
    values = (slope * normalise(trace.pixels, config.preprocessing)).sum(axis=-1, dtype=np.float64)
    check = {"sums to the tokens": abs(float(values.sum()) - tokens), "sums to the score": float(split.errors[0])}
    return PixelMap(values, True, "pixel_contribution", check)


def class_direction(trace: Trace, target: int, against: int | str | None) -> np.ndarray:
    """(K, 1) float64: what y is multiplied by to give the class's score against another class or the mean class.

    Raises:
        ValueError: no such class, or both classes are the same.
    """
    chosen = np.eye(len(trace.labels))
    if against is None:
        return trace.relative(chosen)[:, target, None]
    other = trace.class_index(against)
    if other == target:
        raise ValueError(f"{trace.labels[target]} cannot be compared with itself; choose a different class")
    return (chosen[target] - chosen[other])[:, None]


@lru_cache(maxsize=2)  # four methods use the same walk of one trace in turn
def _split(trace: Trace, target: int, against: int | str | None) -> InputSplit:
    return split_scores(trace, class_direction(trace, target, against))


def _versus(trace: Trace, target: int, against: int | str | None) -> str:
    label = trace.labels[target]
    return label if against is None else f"{label} over {trace.labels[trace.class_index(against)]}"


def _signed(
    trace: Trace, rows: np.ndarray, names: tuple[str, ...], method: str, checks: dict[str, float], note: str = ""
) -> Heatmaps:
    """Heatmaps of (n, M) rows in logits; a class token's part goes to class_share."""
    first = int(trace.has_class_token)
    return Heatmaps(
        rows[:, first:].reshape(-1, *trace.grid).astype(np.float32),
        names,
        signed=True,
        method=method,
        checks=checks,
        class_share=rows[:, :first].sum(axis=1).astype(np.float32),
        note=note,
    )
