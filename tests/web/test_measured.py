"""Files beside the weights, which strangers may have written: what the page cannot show is left out."""

import json

import pytest

from cct_viz.web.measured import MAX_BYTES, read_history, read_metrics, read_randomisation

WHOLE = {"accuracy": 0.5, "top5": 1, "loss": 2.5, "ece": 0.01, "images": 20, "confusion": [[3, 7], [0, 10]]}


def test_whole_metrics_are_shown_and_others_left_out():
    assert read_metrics(WHOLE | {"position_prior": [1]}, 2) == WHOLE
    assert read_metrics({"accuracy": 0.5, "images": 20}, 2) == {"accuracy": 0.5, "images": 20}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    "value", ["many", None, True, -1, float("nan"), float("inf"), 10**400, [], {}, [[1, 2], [3]], [[1, "a"], [3, 4]]]
)
def test_odd_metrics_are_left_out(name, value):
    rest = {key: WHOLE[key] for key in WHOLE if key != name}
    expected = None if name in ("accuracy", "images") else rest
    assert read_metrics(WHOLE | {name: value}, 2) == expected


def test_bands_say_how_many_of_100_were_right_and_damaged_ones_are_left_out():
    bands = [{"low": 0, "high": 0.5, "images": 0, "right": 0}, {"low": 0.5, "high": 1, "images": 30, "right": 20}]
    shown = read_metrics(WHOLE | {"bands": bands}, 2)
    assert [(band["high"], band["images"], band["of_100"]) for band in shown["bands"]] == [(0.5, 0, None), (1, 30, 67)]
    for damaged in ([], "many", bands * 51, [*bands, {"low": 0}]):
        assert read_metrics(WHOLE | {"bands": damaged}, 2) == WHOLE


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_history_keeps_its_curves_and_loses_odd_values(tmp_path):
    epochs = [{"epoch": 1, "loss": 1.5, "val_loss": "b"}, {"loss": float("nan"), "val_accuracy": 1}]
    write(tmp_path, "history.json", json.dumps(epochs))
    assert read_history(tmp_path) == [{"loss": 1.5}, {"val_accuracy": 1.0}]


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "[[1], [2]]", '[{"loss": 1}]', "[" * 100_000, "[", "\\xff"])
def test_an_odd_history_or_table_is_none(tmp_path, text):
    assert read_history(write(tmp_path, "history.json", text)) is None
    assert read_history(None) is None
    if text != "{}":
        assert read_randomisation(write(tmp_path, "randomisation.json", text)) is None


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    text = json.dumps([{"loss": 1}, {"loss": 2}])
    assert read_history(write(tmp_path, "history.json", text + " " * (MAX_BYTES - len(text))))
    assert read_history(write(tmp_path, "history.json", text + " " * MAX_BYTES)) is None


@pytest.mark.parametrize("table", [{"head": 1}, {"head": {"rollout": "yes"}}, {"head": {"rollout": [1]}}])
def test_a_table_of_other_values_is_none(tmp_path, table):
    assert read_randomisation(write(tmp_path, "randomisation.json", json.dumps(table))) is None
    good = {"head": {"rollout": False, "evidence": None}}
    assert read_randomisation(write(tmp_path, "randomisation.json", json.dumps(good))) == good
