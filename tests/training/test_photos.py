"""Recipe photos: folders of photos larger than the model's input, and random parts of them."""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_config, write_random_checkpoint
from PIL import Image
from safetensors import safe_open

from cct_viz.architecture.config import write_config
from cct_viz.cli import main, measures
from cct_viz.images.preprocessing import Preprocessing
from cct_viz.training.augmentation import jitter, resized_crops
from cct_viz.training.data import IMAGENETTE, DataError, Images, find_parts, load_images, load_parts
from cct_viz.training.evaluate import evaluate
from cct_viz.training.recipes import RECIPES, Recipe, describe_recipe
from cct_viz.training.start import start_from, untrained_config

ROOT = Path(__file__).parents[2]
COLOURS = {"golf_ball": (0, 0, 200), "church": (0, 200, 0), "English_springer": (200, 0, 0)}
LABELS = ("English springer", "church", "golf ball")


def make_photos(folder: Path, count: int, *, size=(30, 18), classes=COLOURS, seed=0) -> Path:
    """`count` noisy pictures a class, whose colour is the class."""
    rng = np.random.default_rng(seed)
    for name, colour in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 56, (size[1], size[0], 3))
            Image.fromarray((noise + colour).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def coordinates(height: int, width: int) -> np.ndarray:
    """A (height, width, 3) picture whose red is 4 times the column and whose green is 4 times the row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([4 * columns, 4 * rows, 0 * rows], axis=-1).astype(np.uint8)


def test_a_crop_is_a_part_of_the_picture_of_30_to_100_percent_of_its_area():
    batch = np.stack([coordinates(48, 60)] * 400)
    crops = resized_crops(batch, (24, 30), np.random.default_rng(0), smallest=0.3, interpolation="bilinear")
    assert crops.shape == (400, 24, 30, 3)
    assert crops.dtype == np.uint8
    steps = np.diff(crops.astype(int), axis=2)[:, 12, 10:20, 0].mean(axis=1) / 4  # columns between pixels
    widths = 30 * np.abs(steps)
    heights = 24 * np.diff(crops.astype(int), axis=1)[:, 7:17, 15, 1].mean(axis=1) / 4
    inside = (widths < 60) & (heights < 48)
    area, aspect = (widths * heights / (48 * 60))[inside], (widths / heights / (60 / 48))[inside]
    # Colours are whole numbers, 10 steps of them: a width is known to 3 columns at most, 5 % of the smallest.
    assert 0.27 < area.min() < 0.36
    assert area.max() > 0.85
    assert 0.7 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.4
    assert 0.4 < (steps < 0).mean() < 0.6  # mirrored; 0.5 expected, with a deviation of 0.025


def test_where_a_crop_is_longer_than_the_picture_the_edges_are_reflected():
    batch = np.full((200, 20, 20, 3), 77, np.uint8)
    assert (resized_crops(batch, (10, 10), np.random.default_rng(0), smallest=0.95) == 77).all()
    crops = resized_crops(np.stack([coordinates(48, 48)] * 200), (48, 48), np.random.default_rng(0), smallest=0.99)
    turns = np.diff(np.sign(np.diff(crops[:, 24, :, 0].astype(int), axis=1)), axis=1) != 0
    assert 0.3 < turns.any(axis=1).mean() < 0.7  # half of the stretched pictures are wider than before


def test_crops_of_the_whole_picture_are_the_picture_or_its_mirror_image(monkeypatch):
    picture = coordinates(24, 30)
    monkeypatch.setattr(np, "log", lambda value: 0.0)  # nothing is stretched
    crops = resized_crops(np.stack([picture] * 20), (24, 30), np.random.default_rng(0), smallest=1)
    for crop in crops:
        assert np.array_equal(crop, picture) or np.array_equal(crop, picture[:, ::-1])
    assert len({crop.tobytes() for crop in crops}) == 2


def test_pictures_of_one_pixel_can_be_cropped():
    assert resized_crops(np.ones((9, 1, 1, 3), np.uint8), (2, 3), np.random.default_rng(0), smallest=0.3).all()


def test_a_seed_decides_the_crops_and_the_jitter():
    batch = np.random.default_rng(0).integers(0, 256, (6, 30, 40, 3), dtype=np.uint8)
    first, again = (
        jitter(resized_crops(batch, (12, 20), rng, smallest=0.3), rng, strength=0.3)
        for rng in (np.random.default_rng(7), np.random.default_rng(7))
    )
    np.testing.assert_array_equal(first, again)


def test_jitter_changes_brightness_and_contrast_by_up_to_30_percent():
    grey = np.full((300, 2, 2, 3), 100, np.uint8)
    levels = jitter(grey, np.random.default_rng(0), strength=0.3)
    assert (levels == levels[:, :1, :1, :1]).all()  # one colour has no contrast
    assert 70 <= levels.min() < 75
    assert 125 < levels.max() <= 130
    halves = np.concatenate([np.full((300, 2, 1, 3), 80), np.full((300, 2, 1, 3), 120)], axis=2).astype(np.uint8)
    changed = jitter(halves, np.random.default_rng(0), strength=0.3).astype(float)
    brightness = changed.mean(axis=(1, 2, 3)) / 100
    contrast = (changed[:, 0, 1, 0] - changed[:, 0, 0, 0]) / 40 / brightness
    for factors in (brightness, contrast):
        assert 0.68 < factors.min() < 0.75  # of 300 factors; levels are whole numbers
        assert 1.25 < factors.max() < 1.32
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.2  # 0 expected, with a deviation of 0.06
    np.testing.assert_array_equal(jitter(halves, np.random.default_rng(0), strength=0), halves)


def test_cutmix_takes_its_share_of_the_batches_and_crops_fill_the_models_input(monkeypatch):
    from cct_viz.training import train

    mixed = []
    monkeypatch.setattr(train, "mix", lambda x, y, rng, **alphas: mixed.append(alphas) or (x, y))
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (600, 15, 25, 3), np.uint8), rng.integers(0, 3, 600))
    batches = train.Batches(images, tiny_config(), dataclasses.replace(RECIPES["photos"], batch_size=3), 0)
    seen = [batches[i] for i in range(len(batches))]
    assert {x.shape for x, _ in seen} == {(3, 12, 20, 3)}
    assert 60 <= len(mixed) <= 100  # 40 % of 200, with a deviation of 7
    assert mixed[0] == {"mixup": 0.0, "cutmix": 1.0}


def test_the_recipe_is_described_in_words():
    words = describe_recipe(RECIPES["photos"])
    for part in (
        "learning rate 0.001, warm-up epochs 3, cosine decay to 0, weight decay 0.06 on matrices only",
        "label smoothing 0.1",
        "random crops of 30% to 100% of the area, stretched by 3/4 to 4/3, edges reflected",
        "brightness and contrast times 0.7 to 1.3",
        "cutmix (alpha 1) on 40% of the batches",
    ):
        assert part in words
    assert "padding" not in words
    assert "mixup (alpha 0.8) or cutmix (alpha 1) in the first 58% of the epochs" in describe_recipe(
        RECIPES["paper_300"]
    )


@pytest.mark.parametrize("name", ["mixed_batches", "smallest_crop", "jitter"])
def test_shares_beyond_one_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} is 1\.5; expected 0 to 1"):
        Recipe(**{"epochs": 1, name: 1.5})


def test_classes_are_named_with_spaces_and_ordered_by_name(tmp_path):
    images = load_images(str(make_photos(tmp_path / "photos", 2)), image_size=(12, 20))
    assert images.labels == LABELS
    assert [int(y) for y in images.y] == [int(x[0, 0].argmax()) for x in images.x]
    synsets = dict.fromkeys(IMAGENETTE, COLOURS["church"])
    images = load_images(str(make_photos(tmp_path / "synsets", 1, classes=synsets)), image_size=(12, 20))
    assert images.labels == tuple(sorted(IMAGENETTE.values()))
    (tmp_path / "photos" / "golf ball").mkdir()
    with pytest.raises(DataError, match="two folders of class golf ball: golf ball and golf_ball; rename one"):
        load_images(str(tmp_path / "photos"))


def test_a_folder_with_train_and_val_has_both_parts(tmp_path):
    make_photos(tmp_path / "train", 4)
    assert find_parts(str(tmp_path)) is None
    make_photos(tmp_path / "val", 2, seed=1)
    assert find_parts(str(tmp_path)) == (tmp_path / "train", tmp_path / "val")
    training, validation = load_parts(str(tmp_path), image_size=(12, 20), margin=1.25)
    assert (training.x.shape, validation.x.shape) == ((12, 15, 25, 3), (6, 12, 20, 3))
    assert training.labels == validation.labels == LABELS
    alone = load_images(str(tmp_path / "val"), image_size=(12, 20))
    np.testing.assert_array_equal(validation.x, alone.x)
    options = argparse.Namespace(data=str(tmp_path), images=4, strict=True)
    np.testing.assert_array_equal(measures._read_labelled(options, tiny_config()).x, alone.x)
    np.testing.assert_array_equal(measures._read_images(options, tiny_config()), alone.x[:4])


def test_two_classes_called_train_and_val_are_classes(tmp_path):
    make_photos(tmp_path, 2, classes={"train": (200, 0, 0), "val": (0, 200, 0)})
    assert load_images(str(tmp_path)).labels == ("train", "val")
    assert [len(part.x) for part in load_parts(str(tmp_path))] == [3, 1]


def test_validation_images_may_be_elsewhere_but_need_the_same_classes(tmp_path):
    photos, others = str(make_photos(tmp_path / "photos", 4)), str(make_photos(tmp_path / "others", 2, seed=1))
    training, validation = load_parts(photos, others, image_size=(12, 20))
    assert (training.x.shape, validation.x.shape) == ((12, 12, 20, 3), (6, 12, 20, 3))
    cats = str(make_photos(tmp_path / "cats", 2, classes={"cat": (9, 9, 9), "church": (0, 0, 9)}))
    with pytest.raises(
        DataError, match=r"photos has the classes English springer, church, golf ball, but .*cats has cat,"
    ):
        load_parts(photos, cats, image_size=(12, 20))
    np.savez(tmp_path / "numbers.npz", x=validation.x, y=validation.y)
    with pytest.raises(DataError, match=r"numbers\.npz has without names: give both a folder for each class"):
        load_parts(photos, str(tmp_path / "numbers.npz"), image_size=(12, 20))


def test_a_tenth_of_a_folder_is_scaled_to_the_models_input(tmp_path):
    photos = str(make_photos(tmp_path / "photos", 8, size=(25, 15)))
    cropped = Preprocessing(crop=0.8)
    training, validation = load_parts(photos, image_size=(12, 20), preprocessing=cropped, margin=1.25)
    assert (training.x.shape, validation.x.shape) == ((22, 15, 25, 3), (2, 12, 20, 3))
    whole = load_images(photos, image_size=(15, 25), preprocessing=cropped)
    np.testing.assert_array_equal(training.x, whole.x[:22])
    for large, small in zip(whole.x[22:], validation.x, strict=True):
        np.testing.assert_allclose(small.mean(axis=(0, 1)), large.mean(axis=(0, 1)), atol=2)  # nothing is cut off


def test_the_last_images_decide_the_size_and_all_of_them_the_classes(tmp_path, tiny_classifier):
    large, small = (
        Images(np.zeros((4, 15, 25, 3), np.uint8), np.arange(4) % 2),
        Images(np.zeros((3, 12, 20, 3), np.uint8), np.arange(3)),
    )
    assert start_from(tiny_classifier, large, small).config == tiny_classifier.config
    config = untrained_config("cct_2_3x2_32", large, small)
    assert (config.image_size, config.num_classes) == ((12, 20), 3)


def test_a_model_whose_labels_have_underscores_can_be_evaluated(tmp_path):
    images = load_images(str(make_photos(tmp_path / "photos", 2)), image_size=(12, 20))
    seen = argparse.Namespace(
        labels=("English_springer", "church", "golf_ball"),
        config=tiny_config(pool="mean"),
        read_out=lambda batch: (batch[:, 0, 0], None),  # the reddest pixel speaks for class 0
    )
    assert evaluate(seen, images).accuracy == 1


def test_evaluate_lists_files_that_are_no_pictures_and_skips_or_refuses_them(capsys, tmp_path, cache):
    photos = make_photos(tmp_path / "photos", 3, classes=dict.fromkeys(("one", "two"), COLOURS["church"]))
    (photos / "one" / "Thumbs.db").write_bytes(bytes(512))
    (photos / "two" / "1.png").write_text("no picture")
    folder = write_random_checkpoint(tmp_path / "model", tiny_config(labels=("one", "two")))
    words = ["evaluate", "--model", str(folder), "--data", str(photos), "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 5
    assert "skipped 2 files, which are no readable pictures:" in err
    assert f"{photos / 'one' / 'Thumbs.db'}: " in err
    assert f"{photos / 'two' / '1.png'}: a text file" in err
    assert main([*words, "--strict"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "refused 2 files, which are no readable pictures:" in err
    assert "Thumbs.db" in err
    assert "1.png" in err
    for number in (0, 2):
        (photos / "two" / f"{number}.png").unlink()
    assert main(words) == 1  # a class without a picture; the files say why
    err = capsys.readouterr().err
    assert "1.png: a text file" in err
    assert "two has no pictures" in err


def test_output_in_the_folder_of_validation_is_refused(capsys, tmp_path):
    photos, others = make_photos(tmp_path / "photos", 2), make_photos(tmp_path / "others", 2)
    arguments = ["train", "--arch", "cct_2_3x2_32", "--data", str(photos), "--validation", str(others)]
    assert main([*arguments, "--out", str(others / "out")]) == 1
    assert "is in the folder of --validation" in capsys.readouterr().err


@pytest.mark.slow
def test_photos_train_a_model_whose_card_says_what_they_are(capfd, tmp_path, cache, without_xla):
    make_photos(tmp_path / "data" / "train", 40)
    make_photos(tmp_path / "data" / "val", 5, seed=1)
    write_config(tmp_path / "tiny.json", tiny_config(num_layers=1, stochastic_depth=0.1))
    command = ["train", "--arch", tmp_path / "tiny.json", "--data", tmp_path / "data"]
    command += ["--out", tmp_path / "out", "--recipe", "photos", "--epochs", "4", "--batch-size", "20", "--json"]
    command += [
        "--learning-rate",
        "0.03",
        "--warmup-epochs",
        "1",
        "--data-note",
        "three colours, free to use",
        "--float16",
    ]
    assert main([*map(str, command)]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["images"] == 15
    assert printed["accuracy"] > 0.6  # chance is 1/3; colours are easy
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Data: three colours, free to use. 120 images are for training, 15 for validation." in card
    assert "ordered by the SHA-256" not in card
    assert "cutmix (alpha 1) on 40% of the batches, float32 arithmetic, stochastic depth 0.1" in " ".join(card.split())
    assert "--arch tiny.json --recipe photos --data DATA --out out --epochs 4" in card
    assert "`python -m cct_viz evaluate --model out --data DATA`" in card
    assert "--seed 0 --float16\n" in card
    assert "The weights are stored as float16." in card
    with safe_open(tmp_path / "out" / "model.safetensors", framework="np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118, file is no dict
    evaluated = ["evaluate", "--model", tmp_path / "out", "--data", tmp_path / "data"]
    assert main([*map(str, evaluated), "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == printed
