"""Does a map point at the object? Photos made here, with masks or boxes, and a score for every map and control."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cct_viz.cli import main
from cct_viz.evaluation import score
from cct_viz.evaluation.objects import BOXES, find_photos, object_share, score_photo, summarise_objects

BOX = (10, 4, 30, 20)  # x0, y0, x1, y1 of photos of 40 x 24 pixels, about their middle
CHEAP = ("seqpool", "rollout")


def draw_photo(path, seed=0):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)).save(path)


def draw_mask(path, box, size=(24, 40)):
    mask = np.zeros(size, np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(mask).save(path)


def write_boxes(folder, rows, header=("image", "x0", "y0", "x1", "y1")):
    with (folder / BOXES).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def draw_photos(folder):
    folder.mkdir()
    for i in range(3):
        draw_photo(folder / f"{i}.png", i)
    return folder


@pytest.fixture
def masked(tmp_path):
    folder = draw_photos(tmp_path / "masked")
    for i in range(3):
        draw_mask(folder / f"{i}.mask.png", BOX)
    return folder


@pytest.fixture
def boxed(tmp_path):
    folder = draw_photos(tmp_path / "boxed")
    write_boxes(folder, [(f"{i}.png", *BOX) for i in range(3)])
    return folder


def test_masks_and_boxes_of_the_same_object_give_the_same_scores(masked, boxed, tiny_classifier):
    both = [[score_photo(tiny_classifier, photo, methods=CHEAP) for photo in find_photos(f)] for f in (masked, boxed)]
    assert both[0] == both[1]
    assert len(both[0]) == 3


def test_the_share_of_each_pixel_follows_the_crop_and_the_resize(masked, tiny_classifier):
    (photo, *_) = find_photos(masked)
    share = object_share(photo, tiny_classifier.trace(photo.path).geometry)
    expected = np.zeros((12, 20))
    expected[2:10, 5:15] = 1  # half the size of the photo
    np.testing.assert_allclose(share, expected, atol=1e-6)


def test_scores_equal_their_definition(masked, tiny_classifier):
    (photo, *_) = find_photos(masked)
    trace = tiny_classifier.trace(photo.path)
    share = object_share(photo, trace.geometry)
    scores = score_photo(tiny_classifier, photo, methods=CHEAP)
    centres = trace.stages[-1].centres.reshape(-1, 2)
    on_object = np.array([share[int(y), int(x)] >= 0.5 for y, x in centres])
    owner = np.array(
        [[np.hypot(*(centres - (y + 0.5, x + 0.5)).T).argmin() for x in range(20)] for y in range(12)]
    )  # no ties that matter: they lie on the same side
    cover = np.array([share[owner == token].mean() for token in range(15)])
    assert scores["chance"]["hit"] == pytest.approx(on_object.mean())
    weights = trace.pooling_weights.astype(np.float64)
    assert scores["seqpool"]["hit"] == on_object[weights.argmax()]
    assert scores["seqpool"]["energy"] == pytest.approx(weights @ cover / weights.sum(), abs=0.02)
    assert scores["centre_distance"]["hit"] == 1


def test_an_object_on_every_token_or_none_is_left_out(tmp_path, tiny_classifier):
    draw_photo(tmp_path / "a.png")
    draw_mask(tmp_path / "a.mask.png", (0, 0, 40, 24))
    (photo,) = find_photos(tmp_path)
    assert score_photo(tiny_classifier, photo, methods=CHEAP) == {}
    with pytest.raises(ValueError, match="all tokens or none"):
        summarise_objects([{}])


def test_means_are_differences_to_chance():
    rows = [
        {"chance": {"hit": 0.2, "energy": 0.3}, "rollout": {"hit": 1.0, "energy": 0.4}},
        {},
        {"chance": {"hit": 0.4, "energy": 0.3}, "rollout": {"hit": 0.0, "energy": 0.6}},
    ]
    record = summarise_objects(rows)
    assert (record["images"], record["left_out"]) == (2, 1)
    assert record["maps"]["rollout"]["hit"] == 0.5
    assert record["maps"]["rollout"]["over_chance"]["mean"] == pytest.approx(0.2)
    assert record["maps"]["rollout"]["energy_over_chance"]["mean"] == pytest.approx(0.2)


BAD_BOXES = [
    ([("0.png", 1, 2, 1, 5)], "line 2: expected a file name"),
    ([("0.png", 1, 2, "x", 5)], "line 2: expected a file name"),
    ([("", 1, 2, 3, 5)], "line 2: expected a file name"),
    ([("other.png", 1, 2, 3, 5)], "names 'other.png'"),
    ([("../0.png", 1, 2, 3, 5)], "is not a photo in this folder"),
    ([], "has no boxes"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_BOXES)
def test_damaged_boxes_are_refused(boxed, rows, message):
    write_boxes(boxed, rows)
    with pytest.raises(ValueError, match=message):
        find_photos(boxed)


def test_missing_parts_are_named(masked, boxed, tiny_classifier, tmp_path):
    with pytest.raises(ValueError, match=r"has no boxes\.csv and no NAME\.mask\.png"):
        find_photos(tmp_path)
    write_boxes(boxed, [], header=("image", "left"))
    with pytest.raises(ValueError, match="has the columns"):
        find_photos(boxed)
    draw_mask(masked / "1.mask.png", (0, 0, 5, 5), size=(20, 40))
    with pytest.raises(ValueError, match="its photo is"):
        score_photo(tiny_classifier, find_photos(masked)[1], methods=CHEAP)
    (masked / "2.mask.png").unlink()
    with pytest.raises(ValueError, match="2 is a photo without a mask"):
        find_photos(masked)


def test_the_score_command_adds_a_table_of_its_own(masked, tiny_folder, tmp_path, capsys, monkeypatch):
    measured = []

    def measure(classifier, photo, **options):
        measured.append(photo)
        return score_photo(classifier, photo, **options)

    monkeypatch.setattr(score, "score_photo", measure)
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 12, 20, 3), np.uint8), y=[0, 1])
    arguments = ["score", "--model", str(tiny_folder), "--data", str(tmp_path / "data.npz"), "--points", "2"]
    arguments += ["--out", str(tmp_path / "out"), "--permutations", "2", "--methods", "seqpool,rollout", "--json"]
    assert main([*arguments, "--objects", str(masked)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["objects"]["images"] == 3
    assert set(record["objects"]["maps"]) == {entry["method"] for entry in record["table"]}
    text = (tmp_path / "out" / "score.md").read_text()
    assert "## Points at the object" in text
    assert "--objects masked" in text
    assert main([*arguments, "--objects", str(masked)]) == 0  # from the rows of the first run
    assert json.loads(capsys.readouterr().out) == record
    measured.clear()
    assert main([*arguments, "--points", "3", "--permutations", "4", "--objects", str(masked)]) == 0
    assert measured == []  # neither matters to a photo
    assert json.loads(capsys.readouterr().out)["objects"] == record["objects"]
    assert main([*arguments, "--seed", "5", "--objects", str(masked)]) == 0
    assert len(measured) == 3
    capsys.readouterr()
    assert main([*arguments, "--objects", str(tmp_path / "nothing")]) == 1
    assert "is no folder; give one with photos and masks or boxes" in capsys.readouterr().err
