"""METHODS: every method that explains a Trace as maps over its tokens, and `explain`, which runs one.

A method is a pure function of a Trace (and of the classifier, if it perturbs the image or differentiates). To add one,
write the function and add a line here. Captions, the command line and the contract tests use its docstring.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..inference.heatmaps import Heatmaps
from ..inference.trace import NotApplicable, Trace
from .ablation import ablate_in_pool, drop_token, hide_pixels
from .attention import attention
from .cam import grad_cam, hires_cam
from .depth import direct_logit_attribution, logit_lens
from .features import rank_channels
from .gradient import chefer, gradient_rollout, legrad
from .input_split import contribution_by_depth, depth_sum, input_contribution, pixel_contribution
from .pixels import gradient_x_input, integrated_gradients, smooth_grad
from .pooling import contrast, contribution, evidence, seqpool
from .rollout import contribution_rollout, rollout
from .rollout_paths import rollout_paths

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

METHODS: dict[str, Callable[..., Heatmaps]] = {
    "seqpool": seqpool,
    "evidence": evidence,
    "contribution": contribution,
    "contrast": contrast,
    "input_contribution": input_contribution,
    "contribution_by_depth": contribution_by_depth,
    "depth_sum": depth_sum,
    "pixel_contribution": pixel_contribution,
    "attention": attention,
    "rollout": rollout,
    "contribution_rollout": contribution_rollout,
    "rollout_paths": rollout_paths,
    "logit_lens": logit_lens,
    "direct_logit_attribution": direct_logit_attribution,
    "ablate_in_pool": ablate_in_pool,
    "drop_token": drop_token,
    "hide_pixels": hide_pixels,
    "chefer": chefer,
    "gradient_rollout": gradient_rollout,
    "grad_cam": grad_cam,
    "hires_cam": hires_cam,
    "legrad": legrad,
    "integrated_gradients": integrated_gradients,
    "smooth_grad": smooth_grad,
    "gradient_x_input": gradient_x_input,
}

RENAMED = {  # old name -> new name; old names are accepted for one release
    "ledger": "direct_logit_attribution",
    "lens": "logit_lens",
    "paths": "rollout_paths",
}

__all__ = [
    "METHODS",
    "RENAMED",
    "NotApplicable",
    "describe",
    "explain",
    "find_method",
    "method_options",
    "method_title",
    "rank_channels",
    "takes",
]


def find_method(name: str) -> str:
    """The current name of a method: `name` itself, or the new name of a renamed method.

    Raises:
        ValueError: no such method.

    Warns:
        FutureWarning: `name` is an old name.
    """
    if name in RENAMED:
        text = f"the method {name!r} is now called {RENAMED[name]!r}"
        warnings.warn(text, FutureWarning, stacklevel=3)
        return RENAMED[name]
    if name not in METHODS:
        raise ValueError(f"no method is called {name!r}; choose one of {', '.join(METHODS)}")
    return name


def method_options(method: str) -> dict[str, Any]:
    """The options of a method with their defaults, without `target` and `classifier`.

    Raises:
        ValueError: no such method.
    """
    method = find_method(method)
    return {name: p.default for name, p in _parameters(METHODS[method]).items() if name not in ("target", "classifier")}


def takes(method: str, argument: str) -> bool:
    """Whether a method uses `target` or `classifier`."""
    return argument in _parameters(METHODS[find_method(method)])


@functools.cache  # reading a signature takes longer than most methods do
def _parameters(method: Callable[..., Heatmaps]) -> dict[str, inspect.Parameter]:
    """A method's parameters besides the Trace."""
    return dict(list(inspect.signature(method).parameters.items())[1:])


def describe(method: str) -> str:
    """One sentence: the first line of the method's docstring."""
    return (inspect.getdoc(METHODS[find_method(method)]) or "").split("\n\n")[0].replace("\n", " ")


def method_title(method: str) -> str:
    """The method's name for people, as menus, legends and captions show it: its docstring up to the first colon."""
    return describe(method).partition(":")[0].rstrip(".")


def explain(
    trace: Trace,
    method: str,
    *,
    target: int | str | None = None,
    classifier: Classifier | None = None,
    **options: Any,
) -> Heatmaps:
    """The maps of one method.

    Args:
        trace: the record of one forward pass.
        method: a name in METHODS.
        target: the class to explain, by name or index; by default the predicted class. Methods whose map is the same
            for every class do not use it.
        classifier: needed by methods that perturb the image or differentiate; the others do not use it.
        **options: the method's own options, see `method_options`.

    Raises:
        ValueError: no such method, class or option, or a value out of range.
        NotApplicable: the method is not defined for this model.
    """
    method = find_method(method)
    defaults = method_options(method)
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise ValueError(f"{method} has no option {', '.join(unknown)}; it has {', '.join(defaults) or 'no options'}")
    assignments = ", ".join(f"{name}={value!r}" for name, value in options.items())
    if takes(method, "target"):
        options["target"] = trace.class_index(target)
    if takes(method, "classifier"):
        if classifier is None:
            raise ValueError(f"{method} runs the model again: pass classifier=")
        options["classifier"] = classifier
    try:
        return dataclasses.replace(METHODS[method](trace, **options), trace=trace)
    except (TypeError, IndexError) as error:
        if not assignments:
            raise
        raise ValueError(f"{method} cannot use {assignments}: {error}") from error
