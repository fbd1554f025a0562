"""What a training is to be, written beside its state, so that going on with something else is noticed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ..architecture.config import CCTConfig
from ..checkpoints.safetensors import WEIGHTS_FILE
from .data import DataError
from .recipes import Recipe

PLAN = "training_plan.json"


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a training ends with, but for the backend and its devices.

    Attributes:
        start: SHA-256 of the weights it begins with, None for random ones.
        data: SHA-256 of the images and their classes.
    """

    recipe: Recipe
    config: CCTConfig
    start: str | None
    data: str


def agree(out: Path, plan: Plan, *, begun: bool) -> None:
    """Write the plan of a training that begins in `out`; of one that has begun, see that it is the same.

    Raises:
        DataError: it is not, its file is damaged, or `out` holds a checkpoint that no training made.
    """
    file = out / PLAN
    if not begun:
        if (out / WEIGHTS_FILE).exists() and not file.exists():
            raise DataError(f"{out} holds a checkpoint already, and training would replace it; choose another folder")
        record = {**dataclasses.asdict(plan), "config": plan.config.to_dict()}
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return
    written, names = _read_plan(file), [field.name for field in dataclasses.fields(plan)]
    if different := [name for name in names if getattr(plan, name) != getattr(written, name)]:
        raise DataError(
            f"{out} holds a training with another {' and another '.join(different)} ({PLAN} says which): repeat its "
            "options to go on, or choose another folder"
        )


def _read_plan(file: Path) -> Plan:
    """A plan as it was written; what its recipe does not name did not exist then, and was not done."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        config = CCTConfig.from_dict(record["config"])
        return Plan(Recipe(**record["recipe"]), config, record["start"], record["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or damaged: remove its folder, or choose another") from error
