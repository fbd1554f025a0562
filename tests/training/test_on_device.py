"""Training with everything on one device: what the operations do, and that epochs are those of the ordinary way."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import tiny_config
from PIL import Image
from test_training import QUICKLY, run_apart, save

from cct_viz.images.preprocessing import Preprocessing
from cct_viz.training.augmentation import OPERATIONS, resized_crops
from cct_viz.training.data import DataError, Images, split
from cct_viz.training.recipes import RECIPES, Recipe

pytestmark = [pytest.mark.slow, pytest.mark.jax]
STRENGTHS = (-0.9, -0.35, 0.35, 0.9)
MOVING = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@pytest.fixture(scope="module")
def jnp():
    return pytest.importorskip("jax.numpy", reason="JAX is missing; get it with: pip install jax")


@pytest.fixture
def pixels():
    """A smooth picture of 20 x 24 pixels with an edge."""
    rows, columns = np.mgrid[:20, :24]
    image = np.stack([9 * rows + 40, 7 * columns + 30, 120 + 60 * np.sin(rows / 3 + columns / 4)], axis=-1)
    image[8:14, 5:12] = 230
    return image.astype(np.uint8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_does_on_the_device_what_it_does_in_pillow(jnp, pixels, name):
    from cct_viz.training.augmentation_on_device import operate

    for strength in STRENGTHS:
        expected = np.asarray(OPERATIONS[name](Image.fromarray(pixels), strength)).astype(int)
        got = np.asarray(operate(jnp.asarray(pixels, jnp.float32), list(OPERATIONS).index(name), strength)).astype(int)
        apart = np.abs(got - expected).max(axis=-1)
        # Pillow takes the grey outside where a sampled point lies beyond the outermost pixels' middles
        most = 0.12 if name in MOVING else 0
        assert (apart > 1).mean() <= most, (strength, apart)


def test_crops_scale_as_pillow_does(jnp, pixels):
    from cct_viz.training.augmentation_on_device import crop

    starts, lengths = np.array([[2.3, 1.7], [0.0, 4.2]]), np.array([[12.4, 17.1], [19.0, 18.3]])
    got = np.asarray(crop(jnp.asarray(np.stack([pixels] * 2)), starts, lengths, (12, 20), "bicubic"))
    for part, (y, x), (h, w) in zip(got, starts, lengths, strict=True):
        box = (x, y, x + w, y + h)
        expected = Image.fromarray(pixels).resize((20, 12), Image.Resampling.BICUBIC, box=box)
        assert np.abs(part - np.asarray(expected).astype(int)).max() <= 1


def test_random_crops_keep_to_the_area_of_the_recipe(jnp):
    """A picture whose grey levels are its columns tells where a crop begins and ends."""
    import jax

    from cct_viz.training import augmentation_on_device as augmentation

    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], 60, axis=0).repeat(3, axis=2)
    batch = np.stack([ramp] * 200)
    size, smallest = (30, 30), 0.3
    cut = jax.jit(lambda images, key: augmentation.resized_crops(images, size, key, smallest=smallest))
    here = np.asarray(cut(batch, jax.random.key(0)))
    there = resized_crops(batch, size, np.random.default_rng(0), smallest=smallest).astype(float)
    for statistic in (np.ptp, np.mean):
        ours, theirs = (np.array([statistic(image) for image in images]) for images in (here, there))
        spread = np.hypot(ours.std(), theirs.std()) / np.sqrt(200)
        assert abs(ours.mean() - theirs.mean()) < 4 * spread  # two samples of 200 of the same distribution
    assert 0.35 < (here[:, 0, 0, 0] > here[:, 0, -1, 0]).mean() < 0.65  # mirrored


def test_a_box_replaces_its_share_and_no_more(jnp):
    import jax

    from cct_viz.training.augmentation_on_device import erase, mix

    x, y = jnp.zeros((400, 12, 20, 3)), jnp.eye(2)[jnp.arange(400) % 2]
    erased = np.asarray(jax.jit(lambda *given: erase(*given, share=0.25))(x, jax.random.key(0)))
    touched = (erased != 0).any(axis=(1, 2, 3))
    assert 0.16 < touched.mean() < 0.34  # 4 deviations of 400 draws
    assert (erased[touched] != 0).mean(axis=(1, 2, 3)).max() < 0.4

    pictures = jnp.broadcast_to(jnp.arange(400.0)[:, None, None, None], x.shape)
    mixed, targets = jax.jit(lambda *given: mix(*given, mixup=0.0, cutmix=1.0))(pictures, y, jax.random.key(1))
    own = (np.asarray(mixed) == np.arange(400)[:, None, None, None]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(targets).sum(axis=1), 1, atol=1e-6)
    shares = np.asarray(targets)[np.arange(400), np.arange(400) % 2]
    assert np.isclose(np.where(shares == 1, own, shares), own, atol=1e-6).all()  # 1: mixed with its own class


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("channels", [3, 1])
def test_every_recipe_prepares_batches_for_the_model(jnp, name, channels):
    import jax

    from cct_viz.training.on_device import prepare_batch

    recipe = dataclasses.replace(RECIPES[name], random_erasing=0.2)
    config = tiny_config(channels=channels, preprocessing=Preprocessing((0.5,) * channels, (0.2,) * channels))
    batch = jax.ShapeDtypeStruct((16, 15, 25, 3) if recipe.smallest_crop else (16, 12, 20, 3), np.uint8)
    targets = jax.ShapeDtypeStruct((16, 3), np.float32)
    x, y = jax.eval_shape(
        lambda *arrays: prepare_batch(*arrays, jax.random.key(0), config, recipe, True), batch, targets
    )
    assert (x.shape, x.dtype) == ((16, 12, 20, channels), np.float32)
    assert (y.shape, y.dtype) == ((16, 3), np.float32)


def test_epochs_on_a_device_are_those_of_fit_and_can_be_interrupted(tmp_path, jnp):
    """In a process of its own, on JAX. One step of one batch, which no random number changes, gives the same weights as
    `model.fit`; a training cut off after its first epoch ends as one that was not."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    x = rng.integers(0, 100, (60, 12, 20, 3))
    x[np.arange(60), :, :, y] += 120
    save(tmp_path / "images.npz", Images(x.astype(np.uint8), y))
    script = f"""
import json, keras, shutil
from cct_viz.architecture.keras_model import named_weights
from cct_viz.training import augmentation_on_device, on_device
from cct_viz.training.recipes import Recipe

folder, said = Path({str(tmp_path)!r}), {{}}
with np.load(folder / "images.npz") as saved:
    training, validation = split(Images(saved["x"], saved["y"]))
config = tiny_config(num_layers=1)

def train(out, recipe, **options):
    model = module.train(config, training, validation, recipe, folder / out, **options)
    return {{name: np.asarray(v) for name, v in named_weights(model).items()}}

def apart(a, b, share=1.0):
    gaps = np.concatenate([np.abs(a[name] - b[name]).ravel() for name in a])
    return float(np.quantile(gaps, share))

plain = Recipe(epochs=1, batch_size=len(training.x), warmup_epochs=0.0, learning_rate=1e-2)
augment, module.augment = module.augment, lambda batch, rng: batch
augmentation_on_device.augment, drawn = lambda images, key: images, augmentation_on_device.augment
there, here = train("there", plain), train("here", plain, on_device=True)
said["one step"] = [apart(there, here, 0.99), apart(there, here)]
histories = [json.loads((folder / out / "history.json").read_text())[0] for out in ("there", "here")]
said["logs"] = [sorted(entry) for entry in histories]
said["losses"] = [entry["loss"] for entry in histories]
module.augment, augmentation_on_device.augment = augment, drawn

recipe = Recipe(epochs=2, batch_size=16, learning_rate=5e-3, warmup_epochs=0.5, ema=0.9, cutmix=1.0, mixed_share=0.5)
end = module._Resumable.on_epoch_end
def keep(self, epoch, logs=None):
    end(self, epoch, logs)
    if epoch == 0:  # what a training leaves that is cut off now
        shutil.copytree(folder / "whole", folder / "cut")
module._Resumable.on_epoch_end = keep
whole = train("whole", recipe, on_device=True)
said["resumed"] = apart(whole, train("cut", recipe, on_device=True))
try:
    train("cut", recipe)
except module.DataError as error:
    said["other"] = str(error)
(folder / "said.json").write_text(json.dumps(said))
"""
    done = run_apart(script, KERAS_BACKEND="jax", XLA_FLAGS=QUICKLY)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    # Adam divides a gradient by its size. Where that is all rounding, as in one of a thousand weights, so is the step.
    nearly_all, each = said["one step"]
    assert nearly_all < 1e-5  # a thousandth of a step
    assert each < 1e-3
    assert said["logs"][0] == said["logs"][1]
    np.testing.assert_allclose(*said["losses"], rtol=1e-5)
    assert said["resumed"] == 0
    assert "another on_device" in said["other"]


def test_other_backends_say_what_is_needed(tmp_path):
    from cct_viz.training.train import train

    images = Images(np.zeros((20, 12, 20, 3), np.uint8), np.arange(20) % 3)
    with pytest.raises(DataError, match="--on-device needs JAX"):
        train(tiny_config(), *split(images), Recipe(epochs=1, batch_size=4), tmp_path / "out", on_device=True)
