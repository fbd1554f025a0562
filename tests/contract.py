"""What every explanation method promises, whatever the model."""

from __future__ import annotations

import numpy as np

from cct_viz.inference.trace import Heatmaps, trace_arrays
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
# Not identities of arithmetic but of the limit: their error is that of a finite number of steps, and it is shown.
MAY_FIND_NOTHING = {"chefer", "grad_cam", "legrad"}  # cut off at 0 what speaks against the class
APPROXIMATE = {"sums to the rise from the baseline"}


def check_contract(trace, method, *, exact, classifier=None, target=1, **options) -> Heatmaps:
    """Shape, type, finiteness, sum, sign, checks, determinism, input untouched. `exact` bounds every check's error."""
    given = {"classifier": classifier} if takes(method, "classifier") else {}
    before = {name: array.copy() for name, array in trace_arrays(trace).items()}
    heat = explain(trace, method, target=target, **given, **options)
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
        assert method in MAY_FIND_NOTHING or (total > 0).all() or method == "rollout_paths"
    for name, error in heat.checks.items():
        assert type(error) is float
        assert 0 <= error < (np.inf if name in APPROXIMATE else exact), (name, error)
    again = explain(trace, method, target=target, **given, **options)
    np.testing.assert_array_equal(again.maps, heat.maps)
    for name, array in trace_arrays(trace).items():
        np.testing.assert_array_equal(array, before[name], name)
    return heat
