"""The contract that every explanation method keeps for every model."""

from __future__ import annotations

import numpy as np

from cct_viz.inference.heatmaps import Heatmaps
from cct_viz.inference.trace import trace_arrays
from cct_viz.methods import explain, takes

NOT_APPLICABLE = {
    ("seqpool", "max"),
    *(
        (method, "class_token")
        for method in (
            "seqpool",
            "contribution",
            "contrast",
            "contribution_rollout",
            "logit_lens",
            "direct_logit_attribution",
            "ablate_in_pool",
            "grad_cam",
            "hires_cam",
        )
    ),
}
# They read the model's weights: tests/methods/test_input_split.py tests them, a trace of random arrays is not enough.
FROM_WEIGHTS = ("input_contribution", "contribution_by_depth", "depth_sum", "pixel_contribution")
# Every other map satisfies an identity, whose error it reports.
WITHOUT_IDENTITY = {("evidence", "max"), ("evidence", "class_token"), ("ablate_in_pool", "max")}
MAY_BE_EMPTY = {"chefer", "grad_cam", "legrad"}  # they set negative values to 0, so a map may be 0 everywhere
# Exact only in the limit of many steps; the map shows the error of its number of steps.
POSITION_ONLY: frozenset[str] = frozenset()  # methods that look at places, not at what was computed there
APPROXIMATE = {"sums to the rise from the baseline"}


def check_contract(trace, method, *, exact, classifier=None, target=1, **options) -> Heatmaps:
    """Shape, type, finiteness, sum, sign, checks, determinism, input unchanged. `exact` bounds every check's error."""
    arguments = {"classifier": classifier} if takes(method, "classifier") else {}
    before = {name: array.copy() for name, array in trace_arrays(trace).items()}
    heat = explain(trace, method, target=target, **arguments, **options)
    assert isinstance(heat, Heatmaps)
    assert heat.method == method
    assert heat.maps.shape[1:] == trace.grid
    assert heat.maps.dtype == np.float32
    assert np.isfinite(heat.maps).all()
    assert len(heat.names) == len(heat.maps)
    assert len(set(heat.names)) == len(heat.names)
    if not heat.signed:
        assert heat.maps.min() >= 0
        total = heat.maps.sum(axis=(1, 2)) + heat.class_share
        np.testing.assert_allclose(total[total > 0], 1, atol=1e-5)  # float32 sums of 15 shares
        assert method in MAY_BE_EMPTY or (total > 0).all() or method == "rollout_paths"
    assert bool(heat.checks) != ((method, trace.pool) in WITHOUT_IDENTITY)
    for name, error in heat.checks.items():
        assert type(error) is float
        assert 0 <= error < (np.inf if name in APPROXIMATE else exact), (name, error)
    again = explain(trace, method, target=target, **arguments, **options)
    np.testing.assert_array_equal(again.maps, heat.maps)
    for name, array in trace_arrays(trace).items():
        np.testing.assert_array_equal(array, before[name], name)
    return heat
