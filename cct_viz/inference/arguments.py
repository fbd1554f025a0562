"""Checks of the options of methods; the error message names the option and what is allowed."""

from __future__ import annotations

from numbers import Integral, Real


def is_whole(value: object) -> bool:
    """Whether `value` is an int or a NumPy integer. Booleans and floats are not accepted."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether `value` is a real number. Booleans are not accepted."""
    return isinstance(value, Real) and not isinstance(value, bool)


def require_whole(name: str, value: object, *, low: int, high: int | None = None) -> None:
    """Check that `value` is a whole number from `low` to `high`, both included.

    Raises:
        ValueError: it is not; the message has the name, the value and the allowed range.
    """
    if not is_whole(value) or value < low or (high is not None and value > high):  # type: ignore[operator]
        allowed = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} is {value!r}; expected a whole number, {allowed}")
