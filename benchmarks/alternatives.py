"""The usual ways to look inside a compact transformer, which the budget compares with this project.

The keras.io tutorials call `predict` on one sub-model for each array. With the paper's PyTorch model, one adds forward
hooks to its modules. Both draw with pyplot. The authors' code is not a package, so the path of its checkout is needed.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

    from cct_viz.inference.classifier import Classifier
    from cct_viz.inference.trace import Trace

# our name of a weight -> the authors' name; the patterns apply in this order
RENAMES = (
    (r"tokenizer/conv_(\d+)/", r"tokenizer/conv_layers/\1/0/"),
    (r"^(sequence|block|norm|pool|head)", r"classifier/\1"),
    ("sequence/position", "positional_emb"),
    (r"block_(\d+)/", r"blocks/\1/"),
    ("norm_1/", "pre_norm/"),
    ("norm_2/", "norm1/"),
    ("attention/projection", "self_attn/proj"),
    (r"mlp_(\d)", r"linear\1"),
    ("pool/score", "attention_pool"),
    ("head/", "fc/"),
    ("kernel|gamma", "weight"),
    ("beta", "bias"),
    ("/", "."),
)


def make_keras_way(classifier: Classifier, path: Path) -> Callable[[], None]:
    """A function that draws feature maps, attention and rollout of one picture as the keras.io tutorials do."""
    import keras

    from cct_viz.images.preprocessing import normalise

    images = keras.Input((*classifier.config.image_size, 3))
    seen = classifier.network.intermediates(images)
    wanted = ("feature_map_0", "feature_map_1", "attentions_0", "attentions_1", "pooling_weights", "logits")
    models = {name: keras.Model(images, seen[name]) for name in wanted}
    batch = normalise(classifier.preprocess(path).pixels[None], classifier.config.preprocessing)

    def show() -> None:
        draw({name: model.predict(batch, verbose=0)[0] for name, model in models.items()})

    return show


def draw(seen: Mapping[str, np.ndarray]) -> None:
    """Draw 64 channels of both feature maps, attentions, their rollout and the pooling weights as five PNG files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def save() -> None:
        with tempfile.TemporaryFile() as file:
            plt.savefig(file, format="png")
        plt.close()

    for name in ("feature_map_0", "feature_map_1"):
        _, axes = plt.subplots(8, 8, figsize=(8, 8))
        for i, axis in enumerate(axes.flat):
            axis.imshow(seen[name][..., i])
            axis.axis("off")
        save()
    for name in ("attentions_0", "attentions_1"):
        _, axes = plt.subplots(1, 3, figsize=(9, 3))
        for axis, head in zip(axes, [*seen[name], seen[name].mean(0)], strict=True):
            axis.imshow(head)
        save()
    rolled = np.eye(64)
    for name in ("attentions_0", "attentions_1"):
        rolled = (0.5 * seen[name].mean(0) + 0.5 * np.eye(64)) @ rolled
    _, axes = plt.subplots(1, 2, figsize=(6, 3))
    axes[0].imshow(rolled.mean(0).reshape(8, 8))
    axes[1].imshow(seen["pooling_weights"].reshape(8, 8))
    save()


def to_official(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by our names -> the state dict of the paper's code, as arrays: the inverse of `convert`."""
    state = {}
    for name, array in weights.items():
        block, _, part = name.partition("/attention/")
        if part in ("key/kernel", "value/kernel"):
            continue  # in one matrix with the query's
        if part == "query/kernel":
            array = np.concatenate(
                [weights[f"{block}/attention/{p}/kernel"] for p in ("query", "key", "value")], axis=1
            )
            name = f"{block}/self_attn/qkv/kernel"
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        if name.endswith("positional_emb"):
            array = array[None]
        state[name] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T if array.ndim == 2 else array
    return {name: np.array(array, order="C") for name, array in state.items()}


class Official:
    """The authors' CCT-2/3x2, once unchanged and once with hooks that collect what a Trace holds.

    Args:
        checkout: folder of the authors' repository.
        mean, std: (3,) of the training images.
        weights: by our names; None keeps the random weights.
    """

    def __init__(
        self,
        checkout: Path,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        weights: Mapping[str, np.ndarray] | None = None,
    ):
        import torch

        sys.path.insert(0, str(checkout))
        from src.cct import cct_2_3x2_32  # type: ignore[import-not-found]

        self.bare = cct_2_3x2_32().eval()
        if weights is not None:
            state = {name: torch.from_numpy(array) for name, array in to_official(weights).items()}
            self.bare.load_state_dict(state)
        self.hooked = copy.deepcopy(self.bare)
        self.mean, self.std = (torch.tensor(values).reshape(3, 1, 1) for values in (mean, std))
        self.seen: dict[str, np.ndarray] = {}
        self._add_hooks()

    def _add_hooks(self) -> None:
        def keep(name: str, see: Callable[[torch.Tensor], Any] = lambda x: x[0]) -> Callable[..., None]:
            def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
                self.seen[name] = see(output.detach()).numpy()

            return hook

        encoder = self.hooked.classifier
        for i, stage in enumerate(self.hooked.tokenizer.conv_layers):
            # A copy, because the model then adds the positional embedding to the last map in place.
            stage.register_forward_hook(keep(f"feature_map_{i}", lambda x: x[0].permute(1, 2, 0).clone()))
        encoder.dropout.register_forward_hook(keep("stream_0"))
        for i, block in enumerate(encoder.blocks):
            block.self_attn.attn_drop.register_forward_hook(keep(f"attentions_{i}"))
            block.self_attn.register_forward_hook(keep(f"attention_output_{i}"))
            block.dropout2.register_forward_hook(keep(f"mlp_output_{i}"))
            block.register_forward_hook(keep(f"stream_{i + 1}"))
        encoder.norm.register_forward_hook(keep("representation"))
        encoder.attention_pool.register_forward_hook(keep("pool_scores", lambda x: x[0, :, 0]))
        encoder.attention_pool.register_forward_hook(keep("pooling_weights", lambda x: x[0, :, 0].softmax(0)))
        encoder.fc.register_forward_hook(keep("logits"))

    def normalise(self, pixels: np.ndarray) -> torch.Tensor:
        """(H, W, 3) uint8 of the model's size -> a (1, 3, H, W) batch."""
        import torch

        return ((torch.tensor(pixels).permute(2, 0, 1) / 255 - self.mean) / self.std)[None]

    def forward(self, batch: torch.Tensor) -> np.ndarray:
        """(1, K) logits, without hooks."""
        import torch

        with torch.inference_mode():
            return self.bare(batch).numpy()

    def see(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """(H, W, 3) uint8 -> everything that a Trace holds, by the names of the ONNX graph's outputs."""
        import torch

        with torch.inference_mode():
            self.hooked(self.normalise(pixels))
        return self.seen

    def compare(self, trace: Trace) -> float:
        """The largest difference between an array of the hooks and of `trace`, divided by max(1, largest value)."""
        ours = {f"feature_map_{i}": array for i, array in enumerate(trace.feature_maps)}
        stacks = {"stream": trace.stream, "attentions": trace.attentions}
        stacks |= {"attention_output": trace.attention_outputs, "mlp_output": trace.mlp_outputs}
        ours |= {f"{name}_{i}": array for name, stack in stacks.items() for i, array in enumerate(stack)}
        ours |= {name: getattr(trace, name) for name in ("representation", "pool_scores", "pooling_weights", "logits")}
        theirs = self.see(trace.pixels)
        assert theirs.keys() == ours.keys(), theirs.keys() ^ ours.keys()
        return max(float(np.abs(theirs[name] - ours[name]).max() / max(1, np.abs(ours[name]).max())) for name in ours)

    def show(self, path: Path) -> None:
        """Draw the same figures as `make_keras_way`."""
        with Image.open(path) as image:
            draw(self.see(np.array(image.convert("RGB"))))
