"""Runs a model with ONNX Runtime; imports no deep learning framework."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

# Otherwise ONNX Runtime sends telemetry over the network and keeps a database for it in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from ..architecture.config import CCTConfig
from ..architecture.cost import count_macs
from ..architecture.onnx_graph import IMAGES, STREAM, TOKEN_MASK, build_encoder_graph, build_graph
from ..checkpoints import CheckpointError
from .parallel import THREADS

SMALL_MACS = 200e6  # below this (CCT-4/3x2) a second thread does not speed up one image; above (CCT-6/3x2) it does


class OnnxRunner:
    """The default runner of a `Classifier`: one ONNX Runtime session, safe to call from several threads."""

    def __init__(self, config: CCTConfig, weights: Mapping[str, np.ndarray], name: str):
        """Open the model of `config`; error messages call it `name`.

        Raises:
            CheckpointError: ONNX Runtime cannot run the model.
        """
        self._config, self._weights, self._name = config, weights, name
        self._session = self._open(build_graph(config, weights))
        self._building = threading.Lock()
        self._encoder: onnxruntime.InferenceSession | None = None
        self.output_names = tuple(output.name for output in self._session.get_outputs())

    def run(self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray) -> list[np.ndarray]:
        """The named outputs for one batch."""
        return self._session.run(names, {IMAGES: batch, TOKEN_MASK: token_mask})

    def encode(self, stream: np.ndarray, token_mask: np.ndarray) -> np.ndarray:
        """(B, K) logits from the encoder's input (B, M, D), of any number of tokens, with a (B, N) mask."""
        with self._building:
            if self._encoder is None:  # opened on first use: few callers remove tokens
                self._encoder = self._open(build_encoder_graph(self._config, self._weights))
        return self._encoder.run(["logits"], {STREAM: stream, TOKEN_MASK: token_mask})[0]

    def _open(self, graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
        config = self._config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if count_macs(config) < SMALL_MACS else THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's error types have no public base class
            raise CheckpointError(f"{self._name} cannot be run by ONNX Runtime") from error
