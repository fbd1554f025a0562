"""Between tokens and pixels through the receptive fields: sums are kept, and every pixel has one owner."""

import numpy as np
import pytest
from conftest import tiny_config
from example_tokenizers import TOKENIZERS, reach

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.inference.projection import project
from cct_viz.methods.projection import gather, nearest_token

ARCHITECTURES = TOKENIZERS | {
    "cct_7_3x1_32": tiny_config(image_size=(32, 32), tokenizer=(ConvStage(8, padding=1),)),
    "cct_14_7x2_224": tiny_config(image_size=(224, 224), tokenizer=(ConvStage(4, 7, 2, 3), ConvStage(8, 7, 2, 3))),
}


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def config(request):
    return request.param


def test_gathering_pixels_keeps_the_sum_of_those_seen(config):
    stage, size = stage_geometry(config)[-1], config.image_size
    seen = np.zeros(size, bool)
    for y0, x0, y1, x1 in stage.windows.reshape(-1, 4):
        seen[y0:y1, x0:x1] = True
    pixels = np.random.default_rng(0).normal(size=size) * seen
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


@pytest.mark.parametrize("signed", [False, True])
def test_the_peak_of_a_drawn_map_is_that_of_its_tokens(config, signed):
    """Drawing interpolates between the tokens and never averages them, which would move a signed map's peak.

    Padding may put the centre of a token at the edge beyond the picture, where nothing is drawn; it gets no peak here.
    """
    stage, size = stage_geometry(config)[-1], config.image_size
    values = np.random.default_rng(0).normal(size=config.grid)
    values = values if signed else np.abs(values)
    inside = ((stage.centres >= 0.5) & (stage.centres <= np.array(size) - 0.5)).all(axis=-1)
    values[tuple(np.argwhere(inside)[7 % inside.sum()])] = (
        1.5 * values.max()
    )  # pixels lie beside the centres, not on them
    drawn = project(stage, values, (2 * size[0], 2 * size[1]), size)
    place = np.unravel_index(drawn.argmax(), drawn.shape)
    owner = nearest_token(stage, size)[place[0] // 2, place[1] // 2]
    assert owner == values.argmax()
    assert drawn.max() <= values.max() + 1e-12
