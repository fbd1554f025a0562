"""Cells of the committed tables, derived again without the package: receptive fields, dependence, faithfulness."""

import json
import re

import numpy as np
import pytest
from reference import FOLDERS, ROOT, Network, image_for, read_examples, softmax, times

pytestmark = pytest.mark.truth
README = (ROOT / "README.md").read_text(encoding="utf-8")


def folders_with(name):
    return [pytest.param(folder, id=folder.name) for folder in FOLDERS if (folder / name).exists()]


def window_of_a_middle_token(network):
    """(rows, columns) of the pixels that reach a token in the middle: light up one row or column at a time.

    Kernels of one channel of ones let every pixel through, which trained kernels and max pooling need not.
    """
    for i, stage in enumerate(network.config["tokenizer"]):
        size, channels = stage["kernel_size"], 1 if i else 3
        network.weights[f"tokenizer/conv_{i}/kernel"] = np.ones((size, size, channels, 1))
        network.weights.pop(f"tokenizer/conv_{i}/bias", None)
    network.config["preprocessing"] = {"mean": [0], "std": [1]}
    counts = []
    for axis in (0, 1):
        count = 0
        for line in range(network.config["image_size"][axis]):
            pixels = np.zeros((*network.config["image_size"], 3))
            np.moveaxis(pixels, axis, 0)[line] = 255
            grid = network.tokenize(pixels)
            count += bool(grid[grid.shape[0] // 2, grid.shape[1] // 2].any())
        counts.append(count)
    return tuple(counts)


# Pixels of a side; 13 for the other models.
WINDOWS = {"cct_7_3x1_32_cifar10": 5, "cct_imagenette": 51, "cvt_2_4_seed0": 4, "vit_2_4_seed0": 4}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_token_sees_as_many_pixels_as_the_readme_says(folder):
    side = WINDOWS.get(folder.name, 13)
    assert window_of_a_middle_token(Network(folder)) == (side, side)
    assert re.search(rf"\b{side}×{side}\s+pixels", README)


def parts_of(network):
    """Part of the network, as randomisation.json names it -> how the names of its weights begin."""
    parts = {
        "head": "head/",
        "pool": "pool/",
        "final norm": "norm/",
        "position": "sequence/",
        "tokenizer": "tokenizer/",
    }
    for i in range(network.config["num_layers"]):
        parts[f"MLP {i + 1}"] = (f"block_{i}/norm_2/", f"block_{i}/mlp_")
        parts[f"values and output {i + 1}"] = (f"block_{i}/attention/value/", f"block_{i}/attention/projection/")
        parts[f"queries and keys {i + 1}"] = (f"block_{i}/attention/query/", f"block_{i}/attention/key/")
        parts[f"norm before attention {i + 1}"] = f"block_{i}/norm_1/"
    return parts


def simple_maps(network, pixels):
    """The maps that a forward pass gives without further work, by the names of randomisation.json."""
    seen = network.run(network.tokens(pixels))
    evidence = seen.representation @ network.weights["head/kernel"]
    evidence = evidence - evidence.mean(axis=1, keepdims=True)
    maps = {"seqpool": seen.weights, "evidence": evidence, "rollout": walk(seen, seen.weights)}
    maps["contribution"] = seen.weights[:, None] * evidence
    maps["attention, one token's row"] = np.stack([attention[:, 0] for attention in seen.attentions])
    return maps


def walk(seen, readout):
    """(..., M): attention rollout read out by (..., M), half of each step through attention, the mean of the heads."""
    for attention in reversed(seen.attentions):
        readout = (readout + np.einsum("...t,...ts->...s", readout, attention.mean(axis=-3))) / 2
    return readout


def looked_at(layers):
    """Layers, from 1: all of a shallow model; of a deep one the first, the middle and the last, to save time."""
    return range(1, layers + 1) if layers <= 4 else {1, (layers + 1) // 2, layers}


@pytest.mark.parametrize("folder", folders_with("randomisation.json"))
def test_maps_depend_on_the_parts_that_the_table_names(folder):
    table = json.loads((folder / "randomisation.json").read_text(encoding="utf-8"))
    network = Network(folder)
    pixels, trained = image_for(network), dict(network.weights)
    expected = simple_maps(network, pixels)
    assert set(table) == set(parts_of(network))
    for part, beginnings in parts_of(network).items():
        if part[-1].isdigit() and int(part[-1]) not in looked_at(network.config["num_layers"]):
            continue
        rng = np.random.default_rng(0)
        network.weights = {
            name: array + rng.normal(size=array.shape) * 0.1 if name.startswith(beginnings) else array
            for name, array in trained.items()
        }
        for name, values in simple_maps(network, pixels).items():
            changed = bool(np.abs(values - expected[name]).max() > 1e-5 * np.abs(expected[name]).max())
            assert changed == table[part][name], f"{part}, {name}"


def srg(network, tokens, rankings, steps):
    """(B,): insertion minus deletion of the probability of the predicted class, by masking tokens; from the definition.

    tokens (B, M, D), rankings (B, N). Both curves run between the same two ends, with all tokens and with none, which
    the difference takes away.
    """
    class_token = tokens.shape[1] - rankings.shape[1]  # 1 if there is one, which always stays
    targets = network.run(tokens).logits.argmax(axis=-1)
    places = np.argsort(np.argsort(-rankings, axis=1, kind="stable"), axis=1)
    kept = places[:, None] < steps[1:-1, None]  # (B, states, N)
    states = np.concatenate([kept, ~kept], axis=1)
    present = np.pad(states, ((0, 0), (0, 0), (class_token, 0)), constant_values=True)
    many = np.broadcast_to(tokens[:, None], (*present.shape, tokens.shape[-1]))
    probabilities = softmax(network.run(many, present=present).logits)
    inserted, left = probabilities[np.arange(len(tokens)), :, targets].reshape(len(tokens), 2, -1).swapaxes(0, 1)
    rises = np.pad(inserted - left, ((0, 0), (1, 1)))
    return np.trapezoid(rises, steps / rankings.shape[1], axis=1)


@pytest.mark.parametrize("folder", folders_with("score.json"))
def test_a_cell_of_the_score_table_holds_on_other_images(folder):
    """Evidence, or with a class token rollout, under token drop: ten images, three for a model of many tokens, and the
    table agree within the interval that a mean of so few has."""
    record = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    network = Network(folder)
    tokens = np.stack([network.tokens(pixels) for pixels in read_examples()])
    tokens = tokens[: 10 if tokens.shape[1] <= 65 else 3]
    seen = network.run(tokens)
    if network.config["pool"] == "class_token":
        method, rankings = "rollout", walk(seen, np.eye(tokens.shape[1])[:1])[:, 1:]
    else:
        method, evidence = "evidence", times(seen.representation, network.weights["head/kernel"])
        relative = evidence - evidence.mean(axis=-1, keepdims=True)
        rankings = relative[np.arange(len(tokens)), :, seen.logits.argmax(axis=-1)]
    steps = np.linspace(0, rankings.shape[1], record["points"] + 1).astype(int)
    values = srg(network, tokens, rankings, steps)
    (entry,) = [entry for entry in record["table"] if entry["method"] == method]
    cell = entry["protocols"]["token_drop"]
    half = cell["interval"] * np.sqrt(record["images"] / len(values) + 1)  # of these against the table's mean
    assert values.mean() == pytest.approx(cell["srg"], abs=half)
