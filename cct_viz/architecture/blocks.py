"""BLOCKS: the orders of norm and MLP in an encoder block. Attention comes first and is the same in all of them:
x += attention(norm_1(x)).

To add an order, write it here and in web/src/blocks.js.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .lookup import look_up

Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Block:
    """One order.

    Attributes:
        summary: a few words on it for people.
        add_mlp: (x, norm_2, mlp) -> the residual stream after the block, and what the MLP added to it. Arrays of any
            framework.
        overwrites_stream: whether norm_2 replaces the residual stream instead of reading a copy of it. Direct logit
            attribution then starts after the last norm_2, because what came before is no longer a sum.
    """

    summary: str
    add_mlp: Callable[[Any, Step, Step], tuple[Any, Any]]
    overwrites_stream: bool


def _norm_in_branch(x: Any, norm_2: Step, mlp: Step) -> tuple[Any, Any]:
    added = mlp(norm_2(x))
    return x + added, added


def _norm_in_stream(x: Any, norm_2: Step, mlp: Step) -> tuple[Any, Any]:
    x = norm_2(x)
    added = mlp(x)
    return x + added, added


BLOCKS: dict[str, Block] = {
    "pre_norm": Block("norm before each part", _norm_in_branch, overwrites_stream=False),
    "official": Block("the paper's own block", _norm_in_stream, overwrites_stream=True),
}


def find_block(name: str) -> Block:
    """The block order called `name`.

    Raises:
        ValueError: no such order.
    """
    return look_up(BLOCKS, "block", name)
