"""Runs a model with ONNX Runtime; imports no deep learning framework."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

# Otherwise ONNX Runtime sends telemetry over the network and keeps a database for it in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from ..architecture.config import CCTConfig
from ..architecture.cost import count_macs
from ..architecture.onnx_graph import IMAGES, TOKEN_MASK, build_graph
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
        graph = build_graph(config, weights).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if count_macs(config) < SMALL_MACS else THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's error types have no public base class
            raise CheckpointError(f"{name} cannot be run by ONNX Runtime") from error
        self.output_names = tuple(output.name for output in self._session.get_outputs())

    def run(self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray) -> list[np.ndarray]:
        """The named outputs for one batch."""
        return self._session.run(names, {IMAGES: batch, TOKEN_MASK: token_mask})
