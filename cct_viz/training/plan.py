"""The plan of a training, saved beside its state, so that it cannot continue with other settings by mistake."""

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
    """Everything that decides the result of a training, except the backend and its devices.

    Attributes:
        start: SHA-256 of the initial weights, None for random ones.
        data: SHA-256 of the images and their classes.
        on_device: whether the accelerator draws the random numbers.
    """

    recipe: Recipe
    config: CCTConfig
    start: str | None
    data: str
    on_device: bool = False


def agree(out: Path, plan: Plan, *, begun: bool) -> None:
    """Write the plan of a new training to `out`; for a training that has begun, check that the plan is the same.

    Raises:
        DataError: the plan differs or is damaged, or `out` has a checkpoint without a plan.
    """
    file = out / PLAN
    if not begun:
        if (out / WEIGHTS_FILE).exists() and not file.exists():
            raise DataError(f"{out} already has a checkpoint, which training would overwrite; choose another folder")
        record = {**dataclasses.asdict(plan), "config": plan.config.to_dict()}
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return
    written, names = _read_plan(file), [field.name for field in dataclasses.fields(plan)]
    if different := [name for name in names if getattr(plan, name) != getattr(written, name)]:
        raise DataError(
            f"{out} has a training with another {' and another '.join(different)} (see {PLAN}): use the same options "
            "to continue it, or choose another folder"
        )


def _read_plan(file: Path) -> Plan:
    """A saved plan. Values that an older recipe does not have get their defaults, which turn them off."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        config = CCTConfig.from_dict(record["config"])
        return Plan(Recipe(**record["recipe"]), config, record["start"], record["data"], record.get("on_device", False))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or damaged: delete its folder, or choose another") from error
