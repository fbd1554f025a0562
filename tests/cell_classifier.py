"""A classifier simple enough to solve by hand: the score is a sum over tokens."""

import dataclasses

import numpy as np
from conftest import make_trace, tiny_config

from cct_viz.architecture.geometry import stage_geometry
from cct_viz.images.preprocessing import normalise
from cct_viz.methods.projection import nearest_token


class CellClassifier:
    """A model without layers: each token is the mean colour of its nearest pixels, and the score sums over tokens."""

    def __init__(self, config, seed=0):
        self.config = config
        rng = np.random.default_rng(seed)
        self.head = rng.normal(size=(config.num_tokens, 3, config.num_classes)).astype(np.float32)
        owner = nearest_token(stage_geometry(config)[-1], config.image_size)
        self.cells = np.eye(config.num_tokens, dtype=np.float32)[owner]  # (H, W, N)
        self.cells /= self.cells.sum(axis=(0, 1))
        self.batches = []

    def parts(self, batch):
        """(B, N, K): what each token adds."""
        colours = np.einsum("bhwc,hwn->bnc", batch, self.cells, optimize=True)
        return np.einsum("bnc,nck->bnk", colours, self.head)

    def forward(self, batch, token_mask=None):
        self.batches.append(len(batch))
        mask = np.ones((len(batch), self.config.num_tokens)) if token_mask is None else token_mask
        return (self.parts(batch) * mask[..., None]).sum(axis=1).astype(np.float32)

    def forward_masked(self, trace, token_mask):
        batch = normalise(trace.pixels[None], self.config.preprocessing).repeat(len(token_mask), axis=0)
        return self.forward(batch, token_mask)


def make_case(config=None, seed=0):
    config = config or tiny_config()
    classifier = CellClassifier(config, seed)
    trace = make_trace(config, seed)
    batch = normalise(trace.pixels[None], config.preprocessing)
    return classifier, dataclasses.replace(trace, logits=classifier.forward(batch)[0]), classifier.parts(batch)[0]
