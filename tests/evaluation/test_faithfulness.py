"""Deletion and insertion curves against single removals, the random band, the score table and its continuation."""

import json

import numpy as np
import pytest
from cell_classifier import make_case
from conftest import softmax, tiny_config
from contract import FROM_WEIGHTS
from page_vectors import random_weights
from random_models import FORMS

from cct_viz.cli import main
from cct_viz.evaluation import faithfulness, score
from cct_viz.evaluation.controls import CONTROLS, random_orders
from cct_viz.evaluation.faithfulness import (
    PROTOCOLS,
    RANKINGS,
    Curves,
    measure,
    percentile,
    rank,
    remove,
    score_image,
    spread_steps,
)
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import open_weights
from cct_viz.methods import ablation, explain, takes
from cct_viz.methods.ablation import paint_over
from cct_viz.methods.projection import nearest_token

EXACT = 1e-6  # float32 logits of order 1
CHEAP = ("seqpool", "contribution", "rollout", "ablate_in_pool")  # need no model


@pytest.fixture(scope="module")
def case():
    return make_case()


def probability_without(classifier, trace, away, protocol, target):
    """The probability without some tokens, directly from the definition."""
    image, mask = trace.pixels.copy(), np.ones((1, 15), np.float32)
    if protocol == "token_drop":
        mask[0, away] = 0
    else:
        owner = nearest_token(trace.stages[-1], trace.pixels.shape[:2])
        hidden = np.isin(owner, away)
        image[hidden] = paint_over(trace.pixels, protocol)[hidden]
    logits = classifier.forward(normalise(image[None], classifier.config.preprocessing), mask)[0]
    return softmax(logits)[target]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_curves_equal_single_removals(case, protocol):
    classifier, trace, _ = case
    order = np.random.default_rng(0).permutation(15)
    curves = remove(classifier, trace, order[None], target=2, protocol=protocol)
    np.testing.assert_array_equal(curves.counts, np.arange(16))
    for k in (0, 1, 7, 15):
        expected = probability_without(classifier, trace, order[:k], protocol, 2)
        assert curves.deletion[0, k] == pytest.approx(expected, abs=EXACT)
        expected = probability_without(classifier, trace, order[k:], protocol, 2)
        assert curves.insertion[0, k] == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("form", ["keras.io", "class token"])
def test_scores_equal_those_of_whole_passes(form, monkeypatch):
    """Tokens that are left out and images that are painted as numbers give the table of the plain way."""
    config = FORMS[form]
    classifier = open_weights(config, random_weights(config, "float32"))
    trace = classifier.trace(np.random.default_rng(1).integers(0, 256, (*config.image_size, 3), dtype=np.uint8))
    methods = [m for m in RANKINGS if m in ("drop_token", "hide_pixels") or not takes(m, "classifier")]

    def whole_passes(classifier, trace, mask):
        batch = normalise(np.repeat(trace.pixels[None], len(mask), axis=0), config.preprocessing)
        return classifier.forward(batch, np.asarray(mask, np.float32))

    def painted_whole(classifier, trace, hidden, baseline):
        images = np.where(hidden[..., None], paint_over(trace.pixels, baseline), trace.pixels)
        return classifier.forward(normalise(images, config.preprocessing))

    table = score_image(classifier, trace, methods=methods, points=4)
    monkeypatch.setattr(Classifier, "forward_masked", whole_passes)
    monkeypatch.setattr(ablation, "run_painted", painted_whole)
    monkeypatch.setattr(faithfulness, "run_painted", painted_whole)
    plain = score_image(classifier, trace, methods=methods, points=4)
    for protocol, maps in plain.items():
        for method, values in maps.items():
            assert table[protocol][method] == pytest.approx(values, abs=EXACT)


@pytest.mark.parametrize("points", [None, 4, 7])
def test_insertion_is_deletion_in_reverse(case, points):
    classifier, trace, _ = case
    order = np.random.default_rng(1).permutation(15)
    curves = remove(classifier, trace, np.stack([order, order[::-1]]), protocol="mean", points=points)
    np.testing.assert_allclose(curves.counts, 15 - curves.counts[::-1])
    np.testing.assert_array_equal(curves.insertion[0], curves.deletion[1][::-1])
    np.testing.assert_allclose(curves.srg[0], -curves.srg[1], atol=1e-12)


def test_shared_states_are_computed_once(case):
    classifier, trace, _ = case
    orders = random_orders(15, 20, np.random.default_rng(0))
    classifier.batches.clear()
    remove(classifier, trace, orders, protocol="mean")
    states = {frozenset(order[:k]) for order in orders for k in range(16)}
    assert sum(classifier.batches) == len(states)  # the insertion of a reversed order adds no states
    assert len(states) <= 20 * 14 + 2
    assert max(classifier.batches) == 64


def test_areas_under_curves_by_hand():
    curves = Curves("black", np.array([0, 2, 3]), np.array([[1.0, 0.4, 0.1]]), np.array([[0.2, 0.8, 1.0]]))
    assert curves.deletion_auc[0] == pytest.approx(0.7 * 2 / 3 + 0.25 / 3)
    assert curves.insertion_auc[0] == pytest.approx(0.5 * 2 / 3 + 0.9 / 3)
    assert curves.srg[0] == pytest.approx(1.9 / 3 - 1.65 / 3)


def test_the_true_map_beats_every_random_order(case):
    classifier, trace, parts = case
    others = np.delete(parts, 1, axis=1).mean(axis=1)
    result = measure(classifier, trace, parts[:, 1] - others, target=1, permutations=40)
    assert result.percentile == 1.0
    assert result.curves.srg[0] > 0
    assert measure(classifier, trace, others - parts[:, 1], target=1).percentile == 0.0


def test_random_band_is_seeded_and_centred(case):
    classifier, trace, _ = case
    a, b, c = (measure(classifier, trace, np.arange(15), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.random.deletion, b.random.deletion)
    assert (a.random.deletion != c.random.deletion).any()
    assert len(a.random.srg) == 20
    assert a.random.srg.mean() == pytest.approx(0, abs=1e-12)
    low, high = a.band("deletion")
    assert (low <= high + 1e-12).all()
    inside = (a.random.deletion >= low - 1e-12) & (a.random.deletion <= high + 1e-12)
    assert inside.mean() >= 0.89
    np.testing.assert_allclose([low[0], high[0]], a.curves.deletion[0, 0], atol=1e-12)


def test_rank_breaks_ties_at_random():
    rng = np.random.default_rng(0)
    values = np.array([0.0, 5.0, 0.0, 0.0, 9.0])
    orders = {tuple(rank(values, rng)) for _ in range(50)}
    assert {order[:2] for order in orders} == {(4, 1)}
    assert len(orders) == 6


def test_percentile_counts_ties_half():
    assert percentile(2.0, np.array([1.0, 2.0, 3.0, 0.0])) == 0.625
    assert percentile(0.0, np.array([])) == 0.5


@pytest.mark.parametrize("count", [15, 16, 64])
def test_steps_are_symmetric(count):
    for points in (*range(2, count), None):
        steps = spread_steps(count, points)
        np.testing.assert_array_equal(steps, count - steps[::-1])
        middle = points is not None and points % 2 == 0 and count % 2 == 1  # n / 2 rounds both ways
        assert len(steps) == (points or count) + 1 + middle
        even = np.linspace(0, count, (points or count) + 1)
        assert np.abs(steps[:, None] - even).min(axis=0).max() <= 0.5


SETTINGS = [
    ({"points": 1}, "points is 1; expected a whole number, 2 or more"),
    ({"points": 2.5}, "points is 2.5"),
    ({"permutations": 3}, "even number"),
    ({"permutations": -2}, "even number"),
    ({"permutations": "4"}, "even number"),
    ({"seed": -1}, "seed is -1; expected a whole number, 0 or more"),
]


@pytest.mark.parametrize(("options", "message"), [({"protocol": "white"}, "protocol is"), *SETTINGS])
def test_impossible_settings_are_refused(case, options, message):
    classifier, trace, _ = case
    with pytest.raises(ValueError, match=message):
        measure(classifier, trace, np.arange(15), **options)


def test_an_image_is_scored_by_every_protocol(case):
    classifier, trace, _ = case
    scores = score_image(classifier, trace, methods=CHEAP, permutations=4)
    assert list(scores) == list(PROTOCOLS)
    assert list(scores["blur"]) == [*CHEAP, *CONTROLS]
    entry = scores["token_drop"]["contribution"]
    assert entry["srg"] == pytest.approx(entry["insertion"] - entry["deletion"])
    assert scores == score_image(classifier, trace, methods=CHEAP, permutations=4)


def test_rankings_are_the_methods_with_one_final_map():
    assert set(RANKINGS) >= {"seqpool", "rollout", "contribution", "chefer", "integrated_gradients"}
    assert "attention" not in RANKINGS


def test_only_maps_that_lead_to_their_last_one_rank_the_tokens(trace):
    """The last map of a method ranks the tokens. One with a map for each part of the model belongs to PARTS."""
    several = set()
    for method in RANKINGS:
        if not takes(method, "classifier") and method not in FROM_WEIGHTS and len(explain(trace, method).maps) > 1:
            several.add(method)
    assert several == {"rollout"}


@pytest.fixture
def scored(tiny_classifier, tmp_path, monkeypatch):
    """run(images) calls `write_scores` of a tiny model; returns the record, images scored now, rows in the file."""
    count = []
    monkeypatch.setattr(score, "score_image", lambda *a, **k: count.append(1) or score_image(*a, **k))

    def run(images, **options):
        count.clear()
        options = {"methods": ("seqpool", "rollout"), "points": 3, "permutations": 2} | options
        record = score.write_scores(tiny_classifier, images, tmp_path / "out", **options)
        lines = (tmp_path / "out" / "score_rows.jsonl").read_text().splitlines()
        return record, len(count), len(lines) - 1

    return run


def random_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 20, 3), dtype=np.uint8)


def test_rows_are_reused_for_the_same_images_only(scored):
    images = random_images(3)
    first, fresh, _ = scored(images)
    assert fresh == 3
    other, fresh, rows = scored(np.concatenate([images[:1], random_images(2, seed=1)]))
    assert (fresh, rows) == (2, 3)
    assert other["table"] != first["table"]
    assert scored(images)[0] == first
    _, fresh, _ = scored(images.reshape(3, 20, 12, 3))  # the same bytes in another shape are another image
    assert fresh == 3


def test_a_run_on_fewer_images_keeps_the_other_rows(scored):
    images = random_images(4)
    four, _, _ = scored(images)
    two, fresh, rows = scored(images[:2])
    assert (two["images"], fresh, rows) == (2, 0, 4)
    again, fresh, rows = scored(images)
    assert (again, fresh, rows) == (four, 0, 4)


def test_one_image_has_no_interval(scored, tmp_path):
    record, _, _ = scored(random_images(1))
    assert record["table"][0]["interval"] is None
    assert record["table"][0]["protocols"]["blur"]["interval"] is None
    text = (tmp_path / "out" / "score.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) == record
    assert "± ?" in (tmp_path / "out" / "score.md").read_text()


NO_SCORE = [
    *SETTINGS,
    ({"methods": ("jet",)}, "no method is called 'jet'"),
    ({"methods": ()}, "no method was named"),
    ({"images": random_images(2)[:0]}, r"the images are uint8 \(0, 12, 20, 3\); expected"),
    ({"images": np.zeros((1, 12, 20, 3))}, "the images are float64"),
]


@pytest.mark.parametrize(("options", "message"), NO_SCORE)
def test_bad_arguments_are_refused_before_a_file_is_opened(scored, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        scored(**{"images": random_images(2), **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_methods_that_do_not_apply_are_named(class_token_folder, capsys, tmp_path):
    np.savez(tmp_path / "data.npz", x=random_images(2), y=[0, 1])
    arguments = ["score", "--model", str(class_token_folder), "--data", str(tmp_path / "data.npz")]
    arguments += ["--out", str(tmp_path / "out"), "--permutations", "2", "--points", "2", "--json"]
    assert main([*arguments, "--methods", "seqpool, rollout,"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert "not applicable to this model: seqpool\n" in err
    assert {entry["method"] for entry in record["table"]} == {"rollout", *CONTROLS}
    assert record["headline"] == "rollout"
    assert "class token" in record["not_applicable"]["seqpool"]
    assert "--methods seqpool,rollout " in record["command"]
    assert "Not applicable to this model: seqpool." in (tmp_path / "out" / "score.md").read_text()
    rows = (tmp_path / "out" / "score_rows.jsonl").read_text()
    assert main([*arguments, "--methods", "seqpool,contribution"]) == 1
    assert "no requested method applies to this model (seqpool, contribution)" in capsys.readouterr().err
    assert (tmp_path / "out" / "score_rows.jsonl").read_text() == rows


@pytest.mark.parametrize("command", ["score", "randomisation"])
@pytest.mark.parametrize("count", ["0", "-2"])
def test_a_bad_number_of_images_is_refused_before_reading(command, count, capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")] if command == "score" else []
    assert main([command, "--data", "missing.npz", "--images", count, *out]) == 1
    assert f"--images is {count}; expected 1 or more" in capsys.readouterr().err


def test_score_command_writes_a_table_and_continues_a_stopped_run(
    capsys, tiny_folder, tiny_classifier, tmp_path, monkeypatch
):
    config = tiny_config()
    x = np.random.default_rng(0).integers(0, 256, (4, *config.image_size, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(4, int))
    methods = "seqpool,contribution,drop_token"
    arguments = ["score", "--model", str(tiny_folder), "--data", str(tmp_path / "data.npz"), "--methods", methods]
    arguments += ["--out", str(tmp_path / "out"), "--permutations", "4", "--points", "5", "--json"]
    assert main([*arguments, "--images", "3"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["images"] == 3
    assert first == json.loads((tmp_path / "out" / "score.json").read_text())
    values = [entry["srg"] for entry in first["table"]]
    assert values == sorted(values, reverse=True)
    text = (tmp_path / "out" / "score.md").read_text()
    best = next(entry for entry in first["table"] if not entry["control"])
    assert f"| {best['method']} | {best['srg']:.3f} ±" in text
    assert first["sha256"] in text
    assert "--seed 0" in text
    assert str(tmp_path) not in first["command"].split("--data")[1]

    rows = tmp_path / "out" / "score_rows.jsonl"
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join(lines[:3]) + '\n{"token_dr')  # stopped in the middle of the third image
    scored = []
    monkeypatch.setattr(score, "score_image", lambda *a, **k: scored.append(1) or score_image(*a, **k))
    assert main([*arguments, "--images", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert len(scored) == 1
    assert main([*arguments, "--images", "4", "--seed", "1"]) == 0  # other settings start again
    assert len(scored) == 5
    assert main([*arguments, "--images", "1", "--methods", "jet"]) == 1
    assert "no method is called 'jet'" in capsys.readouterr().err
