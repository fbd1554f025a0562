"""A compact transformer in PyTorch, written from the paper, with the names of the authors' code.

It is the tests' second opinion: what it computes from a state dict is what any conversion has to give.
"""

import itertools
import math

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.shape[-1])
        mixed = torch.einsum("bhqk,bhkd->bhqd", scores.softmax(dim=-1), value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim, heads, inner):
        super().__init__()
        self.pre_norm, self.self_attn, self.norm1 = nn.LayerNorm(dim), SelfAttention(dim, heads), nn.LayerNorm(dim)
        self.linear1, self.linear2 = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, x):
        x = self.norm1(x + self.self_attn(self.pre_norm(x)))
        return x + self.linear2(nn.functional.gelu(self.linear1(x)))


class Tokenizer(nn.Module):
    def __init__(self, channels, kernel, stride, padding, *, patches, pool):
        super().__init__()
        after = [] if patches else [nn.ReLU(), nn.MaxPool2d(*pool)]
        self.conv_layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, here, kernel, stride, padding, bias=patches), *after)
                for before, here in itertools.pairwise(channels)
            )
        )

    def forward(self, x):
        return self.conv_layers(x).flatten(2).transpose(1, 2)


class Classifier(nn.Module):
    def __init__(self, dim, heads, layers, inner, classes, tokens, position, *, class_token):
        super().__init__()
        if class_token:
            self.class_emb = nn.Parameter(torch.zeros(1, 1, dim))
        else:
            self.attention_pool = nn.Linear(dim, 1)
        if position != "none":
            table = sine(tokens + class_token, dim)
            self.positional_emb = nn.Parameter(table, requires_grad=position == "learnable")
        self.blocks = nn.ModuleList(Block(dim, heads, inner) for _ in range(layers))
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x):
        if hasattr(self, "class_emb"):
            x = torch.cat([self.class_emb.expand(len(x), -1, -1), x], dim=1)
        if hasattr(self, "positional_emb"):
            x = x + self.positional_emb
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if hasattr(self, "class_emb"):
            return self.fc(x[:, 0])
        weights = self.attention_pool(x).softmax(dim=1)
        return self.fc((weights * x).sum(dim=1))


def sine(tokens, dim):
    angle = torch.arange(tokens)[:, None] / 10000.0 ** (2 * (torch.arange(dim) // 2) / dim)
    return torch.where(torch.arange(dim) % 2 == 0, angle.sin(), angle.cos())[None]


class CompactTransformer(nn.Module):
    """CCT, or with `patches` CVT, or with `patches` and `class_token` ViT-Lite."""

    def __init__(
        self,
        *,
        size=(32, 32),
        dim=32,
        hidden=(),
        kernel=3,
        stride=1,
        padding=1,
        pool=(3, 2, 1),
        layers=1,
        heads=2,
        inner=48,
        classes=5,
        channels=3,
        position="learnable",
        patches=False,
        class_token=False,
    ):
        super().__init__()
        stride, padding = (kernel, 0) if patches else (stride, padding)
        self.tokenizer = Tokenizer((channels, *hidden, dim), kernel, stride, padding, patches=patches, pool=pool)
        tokens = self.tokenizer(torch.zeros(1, channels, *size)).shape[1]
        self.classifier = Classifier(dim, heads, layers, inner, classes, tokens, position, class_token=class_token)

    def forward(self, x):
        return self.classifier(self.tokenizer(x))


def random_torch_model(seed=0, **choices):
    """A model with random weights, also in biases and norms, so that no term is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    model = CompactTransformer(**choices).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
                if "norm" in name and name.endswith("weight"):
                    parameter.add_(1)
    return model


@torch.no_grad()
def torch_logits(model, images):
    """The logits of images (n, H, W, C), float32 and normalised."""
    return model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
