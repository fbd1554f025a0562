"""Reference models made with the paper's code: state dicts, inputs and all intermediates."""

import json
from pathlib import Path

import numpy as np

from cct_viz.architecture.config import CCTConfig, ConvStage, numbered_labels
from cct_viz.checkpoints.pytorch import official as reader

FOLDER = Path(__file__).parent / "data" / "official"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def load_reference(name):
    """(config, state dict, everything else) of a reference model."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    settings = json.loads(str(arrays.pop("config_json")))
    state = {key.removeprefix("state/"): arrays.pop(key) for key in list(arrays) if key.startswith("state/")}
    dim, size = settings["embedding_dim"], settings["img_size"]
    if settings["class"] == "CCT":
        channels = [64] * (settings["n_conv_layers"] - 1) + [dim]
        stages = tuple(ConvStage(c, settings["kernel_size"], settings["stride"], settings["padding"]) for c in channels)
    else:
        patch = settings["kernel_size"]
        stages = (ConvStage(dim, patch, patch, use_bias=True, relu=False, pool_size=0),)
    config = CCTConfig(
        image_size=(size, size),
        tokenizer=stages,
        num_layers=settings["num_layers"],
        num_heads=settings["num_heads"],
        key_dim=dim // settings["num_heads"],
        mlp_dim=int(settings["mlp_ratio"] * dim),
        labels=numbered_labels(settings["num_classes"]),
        position={"sine": "sinusoidal"}.get(settings["positional_embedding"], settings["positional_embedding"]),
        block="official",
        pool="class_token" if settings["class"] == "ViTLite" else "seqpool",
        qkv_bias=False,
    )
    return config, state, arrays


def assert_agrees(ours, theirs, what):
    """Assert equality up to the rounding of float32 sums in another order."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1, np.abs(theirs).max()), what


def read_state(state, config, **options):
    """The Checkpoint of a state dict, as `official.read` makes it from a file."""
    weights = reader.to_canonical(state, config, **options)
    return reader.Checkpoint(config, weights, reader.FORMAT)


def write_pth(torch, path, name="cct_learnable", wrap=None, **options):
    config, state, _ = load_reference(name)
    tensors = {key: torch.from_numpy(array) for key, array in state.items()}
    torch.save(wrap(tensors) if wrap else tensors, path, **options)
    return config, state
