"""What a method's options may be: a wrong kind or size is refused by name, in one sentence."""

from __future__ import annotations

from numbers import Integral, Real


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number, as an int or NumPy has it; True and 1.0 are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether `value` is a real number; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def require_whole(name: str, value: object, *, low: int, high: int | None = None) -> None:
    """Refuse all but whole numbers from `low` to `high`, both allowed.

    Raises:
        ValueError: says what `name` is and what was expected.
    """
    if not is_whole(value) or value < low or (high is not None and value > high):  # type: ignore[operator]
        asked = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} is {value!r}; expected a whole number, {asked}")
