"""What is measured of attention itself, beside its maps."""

import numpy as np
import pytest

from cct_viz.methods.attention import attention_distances, attention_tokens, effective_tokens


def test_how_far_and_to_how_many_tokens_heads_attend(trace):
    tokens = attention_tokens(trace)
    assert tokens[1, 0] == pytest.approx(np.mean([effective_tokens(row) for row in trace.attentions[1, 0]]))
    centres = trace.stages[-1].centres.reshape(-1, 2)
    rows = zip(trace.attentions[1, 0], centres, strict=True)
    by_hand = np.mean([row @ np.hypot(*(centres - at).T) for row, at in rows])
    assert attention_distances(trace)[1, 0] == pytest.approx(by_hand, rel=1e-5)


def test_what_goes_to_a_class_token_has_no_distance(class_token_trace):
    image = class_token_trace.attentions[0, 1, 1:, 1:].astype(np.float64)
    centres = class_token_trace.stages[-1].centres.reshape(-1, 2)
    rows = zip(image / image.sum(axis=1, keepdims=True), centres, strict=True)
    by_hand = np.mean([row @ np.hypot(*(centres - at).T) for row, at in rows])
    assert attention_distances(class_token_trace)[0, 1] == pytest.approx(by_hand, rel=1e-5)
