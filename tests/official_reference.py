"""The reference models of the paper's own code: their state dicts, inputs and every intermediate."""

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
    made = json.loads(str(arrays.pop("config_json")))
    state = {key.removeprefix("state/"): arrays.pop(key) for key in list(arrays) if key.startswith("state/")}
    dim, size = made["embedding_dim"], made["img_size"]
    if made["class"] == "CCT":
        channels = [64] * (made["n_conv_layers"] - 1) + [dim]
        stages = tuple(ConvStage(c, made["kernel_size"], made["stride"], made["padding"]) for c in channels)
    else:
        patch = made["kernel_size"]
        stages = (ConvStage(dim, patch, patch, use_bias=True, relu=False, pool_size=0),)
    config = CCTConfig(
        image_size=(size, size),
        tokenizer=stages,
        num_layers=made["num_layers"],
        num_heads=made["num_heads"],
        key_dim=dim // made["num_heads"],
        mlp_dim=int(made["mlp_ratio"] * dim),
        labels=numbered_labels(made["num_classes"]),
        position={"sine": "sinusoidal"}.get(made["positional_embedding"], made["positional_embedding"]),
        block="official",
        pool="class_token" if made["class"] == "ViTLite" else "seqpool",
        qkv_bias=False,
    )
    return config, state, arrays


def assert_agrees(ours, theirs, what):
    """The bound the reference values ask for: rounding of float32 sums in another order."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1, np.abs(theirs).max()), what


def read_state(state, config, **options):
    """The Checkpoint of a state dict, as `official.read` makes it of a file."""
    weights = reader.to_canonical(state, config, **options)
    return reader.Checkpoint(config, weights, reader.FORMAT)


def write_pth(torch, path, name="cct_learnable", wrap=None, **options):
    config, state, _ = load_reference(name)
    tensors = {key: torch.from_numpy(array) for key, array in state.items()}
    torch.save(wrap(tensors) if wrap else tensors, path, **options)
    return config, state
