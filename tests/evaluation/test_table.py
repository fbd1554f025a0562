"""The score table from the rows of its images: means, paired differences, ranks with ties, the headline map."""

import numpy as np
import pytest

from cct_viz.evaluation.table import find_headline, format_table, summarise


def rows(**srg):
    """One row for each image from the SRG of each method; the second protocol has the same values."""
    images = zip(*srg.values(), strict=True)
    measures = [
        {m: {"srg": v, "deletion": 0.0, "insertion": v, "percentile": 0.5} for m, v in zip(srg, image, strict=True)}
        for image in images
    ]
    return [{"black": one, "blur": one} for one in measures]


def test_entries_are_ordered_by_srg_with_intervals():
    table = summarise(rows(rollout=[0.1, 0.3, 0.2], evidence=[0.3, 0.3, 0.6]))
    assert [entry["method"] for entry in table] == ["evidence", "rollout"]
    assert table[1]["srg"] == pytest.approx(0.2)
    assert table[1]["interval"] == pytest.approx(1.96 * 0.1 / np.sqrt(3))
    assert table[0]["protocols"]["black"]["srg"] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="no scored images"):
        summarise([])


def test_differences_are_paired():
    """Both maps vary a lot from image to image, but one is always .02 better: that is no tie."""
    noise = np.random.default_rng(0).normal(0, 0.5, 50)
    close = np.random.default_rng(1).normal(0, 0.001, 50)
    table = summarise(rows(rollout=noise, depth_sum=noise + 0.02 + close, centre_distance=noise - 0.1))
    first, second, centre = table
    assert (first["method"], first["rank"]) == ("depth_sum", 1)
    assert (second["method"], second["rank"]) == ("rollout", 2)
    assert first["interval"] > 0.1
    assert second["behind_first"]["srg"] == pytest.approx(-0.02, abs=0.001)
    assert second["behind_first"]["interval"] < 0.001
    assert first["over_centre"]["srg"] == pytest.approx(0.12, abs=0.001)
    assert centre["control"]
    assert "rank" not in centre


def test_maps_that_no_difference_separates_share_a_rank():
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 40))
    table = summarise(rows(rollout=noise[0], evidence=noise[1], seqpool=noise[2] - 1))
    assert [entry["rank"] for entry in table] == [1, 1, 3]
    record = {"model": "m", "images": 40, "points": 8, "permutations": 2, "protocols": ["black", "blur"]}
    text = format_table(record | {"table": table, "not_applicable": {}, "command": "", "headline": "rollout"})
    assert "| 1 = | evidence |" in text
    assert "| 3 | seqpool |" in text


def test_a_control_that_wins_has_no_rank_and_is_no_headline():
    table = summarise(rows(sampled_shapley=[0.9, 0.9], drop_token=[0.8, 0.8], rollout=[0.5, 0.5]))
    assert [entry["method"] for entry in table] == ["sampled_shapley", "drop_token", "rollout"]
    assert [entry.get("rank") for entry in table] == [None, 1, 2]
    assert find_headline(table) == "rollout"  # drop_token runs the model again
    assert find_headline(table[:2]) is None


def test_ranks_never_rise_again():
    """Ties are no order: a map may be a tie with both of two that differ. Each is a tie with the first of its rank."""
    rng = np.random.default_rng(2)
    base = rng.normal(0, 0.3, 60)
    table = summarise(
        rows(
            rollout=base,
            evidence=base - 0.02 + rng.normal(0, 0.01, 60),  # worse than rollout, almost always
            seqpool=rng.normal(-0.05, 0.8, 60),  # a tie with everything
        )
    )
    ranks = [entry["rank"] for entry in table]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    assert {entry["method"]: entry["rank"] for entry in table}["evidence"] > 1


def cells_of(table):
    """Method -> cells of its row in the Markdown."""
    record = {"model": "m", "images": 2, "points": 8, "permutations": 2, "protocols": ["black", "blur"]}
    text = format_table(record | {"table": table, "not_applicable": {}, "command": "", "headline": None})
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[1].strip("*"): row for row in rows}


def test_only_the_difference_to_itself_is_empty():
    """Also with one image, which gives no interval, and where another map is the same on every image."""
    cells = cells_of(summarise(rows(rollout=[0.5], evidence=[0.4], centre_distance=[0.1])))
    assert cells["centre distance"][3:5] == ["", "-0.400 ± ?"]
    assert cells["rollout"][3:5] == ["+0.400 ± ?", ""]
    cells = cells_of(summarise(rows(rollout=[0.5, 0.4], evidence=[0.5, 0.4], centre_distance=[0.5, 0.4])))
    assert cells["rollout"][3:5] == ["+0.000 ± 0.000", ""]
    assert cells["evidence"][3:5] == ["+0.000 ± 0.000", "+0.000 ± 0.000"]
    assert cells["centre distance"][3:5] == ["", "+0.000 ± 0.000"]
