"""Projections through receptive fields: which pixels a token covers, and that sums and constants are kept."""

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from example_tokenizers import TOKENIZERS, reach

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.methods import explain
from cct_viz.methods.projection import average, gather, nearest_token, project_heatmaps, splat

ARCHITECTURES = TOKENIZERS | {
    "cct_7_3x1_32": tiny_config(image_size=(32, 32), tokenizer=(ConvStage(8, padding=1),)),
    "cct_14_7x2_224": tiny_config(image_size=(224, 224), tokenizer=(ConvStage(4, 7, 2, 3), ConvStage(8, 7, 2, 3))),
}


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def config(request):
    return request.param


def test_a_splat_covers_the_pixels_that_reach_the_token(config):
    stage = stage_geometry(config)[-1]
    rng = np.random.default_rng(0)
    gh, gw = config.grid
    one_hot = np.eye(gh * gw).reshape(-1, gh, gw)
    painted = splat(one_hot, stage, config.image_size)
    mean = average(one_hot, stage, config.image_size)
    for y, x in zip(rng.integers(0, config.image_size[0], 6), rng.integers(0, config.image_size[1], 6), strict=True):
        sees = reach(config, len(config.tokenizer), y, x).reshape(-1)
        np.testing.assert_array_equal(painted[:, y, x] > 0, sees)
        np.testing.assert_array_equal(mean[:, y, x] > 0, sees)
        if sees.any():
            np.testing.assert_allclose(mean[sees, y, x], 1 / sees.sum())


def test_splat_keeps_sums_and_average_keeps_constants(config):
    stage, size = stage_geometry(config)[-1], config.image_size
    values = np.random.default_rng(0).normal(size=(2, *config.grid))
    np.testing.assert_allclose(splat(values, stage, size).sum(axis=(1, 2)), values.sum(axis=(1, 2)), atol=1e-9)
    constant = average(np.full(config.grid, 3.0), stage, size)
    covered = splat(np.ones(config.grid), stage, size) > 0
    np.testing.assert_allclose(constant[covered], 3.0)
    assert covered.mean() > 0.8  # a stride may leave a margin that no window reaches


def test_gather_keeps_the_sum_of_covered_pixels(config):
    stage, size = stage_geometry(config)[-1], config.image_size
    covered = splat(np.ones(config.grid), stage, size) > 0
    pixels = np.random.default_rng(0).normal(size=size) * covered
    tokens = gather(pixels, stage)
    assert tokens.shape == config.grid
    assert tokens.sum() == pytest.approx(pixels.sum(), abs=1e-8)
    y, x = size[0] // 2, size[1] // 2
    spot = np.zeros(size)
    spot[y, x] = 1
    sees = reach(config, len(config.tokenizer), y, x)
    np.testing.assert_allclose(gather(spot, stage), sees / sees.sum())


def test_every_pixel_belongs_to_the_token_with_the_nearest_centre(config):
    stage, size = stage_geometry(config)[-1], config.image_size
    owner = nearest_token(stage, size)
    assert owner.shape == size
    assert set(owner.reshape(-1)) == set(range(config.num_tokens))
    centres = stage.centres.reshape(-1, 2)
    for y, x in [(0, 0), (size[0] // 2, size[1] // 3), (size[0] - 1, size[1] - 1)]:
        distance = np.abs(centres - (y + 0.5, x + 0.5))
        assert distance[owner[y, x]].tolist() == distance.min(axis=0).tolist()


def test_project_heatmaps_splats_shares_and_averages_signed_maps():
    trace = make_trace(tiny_config())
    shares = project_heatmaps(trace, explain(trace, "rollout"))
    assert shares.shape == (3, 12, 20)
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1, atol=1e-5)
    signed = explain(trace, "evidence", target=0)
    stage = trace.stages[-1]
    np.testing.assert_allclose(project_heatmaps(trace, signed), average(signed.maps, stage, (12, 20)), atol=1e-6)


def test_maps_with_the_wrong_grid_are_refused():
    stage = stage_geometry(tiny_config())[-1]
    with pytest.raises(ValueError, match=r"shape \(5, 3\); this conv stage has \(3, 5\)"):
        splat(np.zeros((5, 3)), stage, (12, 20))
