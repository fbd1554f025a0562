"""A compact transformer in NumPy, written from the papers, from config.json and model.safetensors alone.

It imports nothing of cct_viz, so that what it agrees with is not itself. Hassani et al. 2021,
https://arxiv.org/abs/2104.05704 (tokenizer, sequence pooling), Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
(attention), Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415 (GELU). All arithmetic is float64.

`Frozen` is the same network with everything frozen that decides: attention, the deviations of the LayerNorms, the gates
of the GELUs and the pooling factors. What is left is affine in the stream at every depth, and it is run forwards here,
whereas the package walks back from the score.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "weights").rglob("model.safetensors"))
EXAMPLES = sorted((ROOT / "cct_viz/web/example_images").glob("*.png"))  # 32x32 validation images of CIFAR-10
_END, _STEPS = 9, 300_000  # of Phi; beyond the ends it is 0 or 1 to 1e-19, between two places linear to 1e-10
_PHI = np.array([0.5 * math.erfc(-place / math.sqrt(2)) for place in np.linspace(-_END, _END, _STEPS + 1)])


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """https://huggingface.co/docs/safetensors: 8 bytes of length, a JSON header, then the arrays, row-major."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    types = {"F32": np.float32, "F16": np.float16}
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[start:end], types[entry["dtype"]]).reshape(entry["shape"])
        arrays[name] = array.astype(np.float64)
    return arrays


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gate(x: np.ndarray) -> np.ndarray:
    """Phi(x), the share that GELU lets through: GELU(x) = x Phi(x)."""
    at = np.clip((x + _END) * (_STEPS / (2 * _END)), 0, _STEPS)
    below = np.minimum(at.astype(int), _STEPS - 1)
    return _PHI[below] + (at - below) * (_PHI[below + 1] - _PHI[below])


@dataclass
class Pass:
    """A forward pass: streams (..., M, D) before each block and after the last, attentions (..., A, M, M)."""

    streams: list[np.ndarray] = field(default_factory=list)
    attentions: list[np.ndarray] = field(default_factory=list)
    norms: list[np.ndarray] = field(default_factory=list)  # 1 / deviation of every LayerNorm, in order
    gates: list[np.ndarray] = field(default_factory=list)  # of every GELU, in order
    representation: np.ndarray | None = None
    weights: np.ndarray | None = None  # (N,), of the pool; None for the class token and for max pooling
    factors: np.ndarray | None = None  # (M, 1) or (M, D): pooled = sum_t factors_t * representation_t
    logits: np.ndarray | None = None


class Network:
    """The model of one folder of weights."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.weights = read_safetensors(folder / "model.safetensors")

    def tokens(self, pixels: np.ndarray) -> np.ndarray:
        """(M, D): uint8 pixels (H, W, 3) to the encoder's input."""
        x = self.tokenize(pixels)
        x = x.reshape(-1, x.shape[-1])
        if "sequence/class_token" in self.weights:
            x = np.concatenate([self.weights["sequence/class_token"], x])
        return x + self.weights.get("sequence/position", 0)

    def tokenize(self, pixels: np.ndarray) -> np.ndarray:
        """(gh, gw, D): uint8 pixels (H, W, 3) to the last feature map."""
        preprocessing = self.config["preprocessing"]
        x = (pixels / 255 - np.array(preprocessing["mean"])) / np.array(preprocessing["std"])
        for i, stage in enumerate(self.config["tokenizer"]):
            x = convolve(x, self.weights[f"tokenizer/conv_{i}/kernel"], stage["stride"], stage["padding"])
            x = x + self.weights.get(f"tokenizer/conv_{i}/bias", 0)
            x = np.maximum(x, 0) if stage["relu"] else x
            if stage["pool_size"]:
                x = pool_largest(x, stage)
        return x

    def run(self, tokens: np.ndarray, *, present: np.ndarray | None = None) -> Pass:
        """The encoder, the pool and the head, for (..., M, D) tokens.

        Those where `present` (..., M) is False are neither attended to nor pooled.
        """
        seen = Pass()
        blocked = np.zeros(tokens.shape[:-1]) if present is None else np.where(present, 0.0, -np.inf)
        x = tokens
        for i in range(self.config["num_layers"]):
            seen.streams.append(x)
            x = self.block(i, x, seen, blocked)
        seen.streams.append(x)
        r = seen.representation = self.norm("norm", x, seen)
        self._pool(r, seen, blocked)
        seen.logits = (seen.factors * r).sum(axis=-2) @ self.weights["head/kernel"] + self.weights["head/bias"]
        return seen

    def block(self, i: int, x: np.ndarray, seen: Pass, blocked: np.ndarray) -> np.ndarray:
        x = x + self.attend(i, self.norm(f"block_{i}/norm_1", x, seen), seen, blocked)
        normed = self.norm(f"block_{i}/norm_2", x, seen)
        x = normed if self.config["block"] == "official" else x  # the paper's code adds to the normed stream
        hidden = self.gelu(self.dense(f"block_{i}/mlp_1", normed), seen)
        out = self.dense(f"block_{i}/mlp_2", hidden)
        return x + (self.gelu(out, seen) if self.config["mlp_output_activation"] else out)

    def attend(self, i: int, x: np.ndarray, seen: Pass, blocked: np.ndarray) -> np.ndarray:
        a = f"block_{i}/attention"
        q, k, v = (self.heads(self.dense(f"{a}/{name}", x)) for name in ("query", "key", "value"))
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
        seen.attentions.append(softmax(scores + blocked[..., None, None, :]))
        return self.dense(f"{a}/projection", join_heads(seen.attentions[-1] @ v))

    def norm(self, name: str, x: np.ndarray, seen: Pass) -> np.ndarray:
        seen.norms.append(1 / np.sqrt(x.var(axis=-1, keepdims=True) + self.config["layer_norm_epsilon"]))
        centred = x - x.mean(axis=-1, keepdims=True)
        return self.weights[f"{name}/gamma"] * centred * seen.norms[-1] + self.weights[f"{name}/beta"]

    def gelu(self, x: np.ndarray, seen: Pass) -> np.ndarray:
        seen.gates.append(gate(x))
        return x * seen.gates[-1]

    def dense(self, name: str, x: np.ndarray) -> np.ndarray:
        return times(x, self.weights[f"{name}/kernel"]) + self.weights.get(f"{name}/bias", 0)

    def heads(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:-1], self.config["num_heads"], -1).swapaxes(-3, -2)

    def _pool(self, r: np.ndarray, seen: Pass, blocked: np.ndarray) -> None:
        pool = self.config["pool"]
        if pool == "class_token":
            seen.factors = np.eye(r.shape[-2], 1)
        elif pool == "max":
            winners = (r + blocked[..., None]).argmax(axis=-2)[..., None, :]
            seen.factors = (winners == np.arange(r.shape[-2])[:, None]).astype(np.float64)
        else:
            scores = self.dense("pool/score", r)[..., 0] if pool == "seqpool" else np.zeros(r.shape[:-1])
            seen.weights = softmax(scores + blocked)
            seen.factors = seen.weights[..., None]


class Frozen:
    """The affine function that is left of a network when everything that decides stays as in one pass."""

    def __init__(self, network: Network, seen: Pass):
        self.network, self.seen = network, seen

    def scores(self, x: np.ndarray, depth: int, *, constants: bool) -> np.ndarray:
        """(..., K) from streams (..., M, D) before block `depth`, counted from 0; with or without the biases."""
        network, seen, weights = self.network, self.seen, self.network.weights
        layers, output_gate = network.config["num_layers"], network.config["mlp_output_activation"]

        def bias(name: str) -> np.ndarray | float:
            return weights.get(name, 0.0) if constants else 0.0

        def norm(name: str, x: np.ndarray, place: int) -> np.ndarray:
            centred = x - x.mean(axis=-1, keepdims=True)
            return weights[f"{name}/gamma"] * centred * seen.norms[place] + bias(f"{name}/beta")

        def dense(name: str, x: np.ndarray) -> np.ndarray:
            return times(x, weights[f"{name}/kernel"]) + bias(f"{name}/bias")

        for i in range(depth, layers):
            values = network.heads(dense(f"block_{i}/attention/value", norm(f"block_{i}/norm_1", x, 2 * i)))
            x = x + dense(f"block_{i}/attention/projection", join_heads(seen.attentions[i] @ values))
            normed = norm(f"block_{i}/norm_2", x, 2 * i + 1)
            x = normed if network.config["block"] == "official" else x
            place = i * (1 + output_gate)
            added = dense(f"block_{i}/mlp_2", dense(f"block_{i}/mlp_1", normed) * seen.gates[place])
            x = x + (added * seen.gates[place + 1] if output_gate else added)
        pooled = (seen.factors * norm("norm", x, 2 * layers)).sum(axis=-2)
        return dense("head", pooled)


def times(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(..., C) @ (C, D) as one product: many small ones make the threads of a busy machine wait for each other."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def join_heads(x: np.ndarray) -> np.ndarray:
    """(..., A, M, d) -> (..., M, A d)."""
    x = x.swapaxes(-3, -2)
    return x.reshape(*x.shape[:-2], -1)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    size = kernel.shape[0]
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
    return np.tensordot(windows, kernel, axes=([3, 4, 2], [0, 1, 2]))


def pool_largest(x: np.ndarray, stage: dict) -> np.ndarray:
    """Max pool after zero padding; the rule "same" pads further, with nothing, as TensorFlow does."""
    size, stride, zeros = stage["pool_size"], stage["pool_stride"], stage["pool_zero_padding"]
    x = np.pad(x, ((zeros, zeros), (zeros, zeros), (0, 0)))
    if stage["pool_padding"] == "same":
        missing = [max(0, (-(-length // stride) - 1) * stride + size - length) for length in x.shape[:2]]
        x = np.pad(x, [(m // 2, m - m // 2) for m in missing] + [(0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
    return windows.max(axis=(-2, -1))


def read_examples() -> np.ndarray:
    """(10, 32, 32, 3) uint8: the first validation image of each class of CIFAR-10."""
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in EXAMPLES])


def image_for(network: Network) -> np.ndarray:
    """A uint8 picture at the model's size: the cat, enlarged without smoothing where the model is larger."""
    height, width = network.config["image_size"]
    cat = next(path for path in EXAMPLES if path.stem == "cat")
    return np.asarray(Image.open(cat).convert("RGB").resize((width, height), Image.Resampling.NEAREST))
