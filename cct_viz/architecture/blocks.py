"""BLOCKS: the orders of norm and MLP in an encoder block. Every block starts with x += attention(norm_1(x)).

Its MLP reads what norm_2 gives. ARCHITECTURE.md says what else a new order needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .lookup import look_up

Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Block:
    """One order of norm and MLP.

    Attributes:
        summary: a short description for the page.
        add_mlp: (x, norm_2, mlp) -> the residual stream after the block, and the MLP's output that was added to it.
            Works on arrays of any framework.
        overwrites_stream: whether norm_2 replaces the residual stream instead of reading a copy of it. Direct logit
            attribution then starts after the last norm_2, because what came before is no longer a sum.
        split_mlp: `add_mlp` backwards, (scores, norm_2, mlp) -> scores: from scores as a function of the stream after
            the block to scores as a function of the stream after attention; `norm_2` and `mlp` take them back through
            each part. Works on anything that can be added.
    """

    summary: str
    add_mlp: Callable[[Any, Step, Step], tuple[Any, Any]]
    overwrites_stream: bool
    split_mlp: Callable[[Any, Step, Step], Any]


def _norm_in_branch(x: Any, norm_2: Step, mlp: Step) -> tuple[Any, Any]:
    added = mlp(norm_2(x))
    return x + added, added


def _norm_in_stream(x: Any, norm_2: Step, mlp: Step) -> tuple[Any, Any]:
    x = norm_2(x)
    added = mlp(x)
    return x + added, added


BLOCKS: dict[str, Block] = {
    "pre_norm": Block(
        "norm before each part",
        _norm_in_branch,
        overwrites_stream=False,
        split_mlp=lambda scores, norm_2, mlp: scores + norm_2(mlp(scores)),
    ),
    "official": Block(
        "the paper's own block",
        _norm_in_stream,
        overwrites_stream=True,
        split_mlp=lambda scores, norm_2, mlp: norm_2(scores + mlp(scores)),
    ),
}


def find_block(name: str) -> Block:
    """The block order called `name`.

    Raises:
        ValueError: no block has this name.
    """
    return look_up(BLOCKS, "block", name)
