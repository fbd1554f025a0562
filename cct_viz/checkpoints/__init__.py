"""Checkpoints of any known format, read to one record: configuration and canonically named weights.

A reader is a module or package with FORMAT, `recognises`, `files` and `read`, and an entry in `registry.READERS`:
`safetensors` (the project's own format), `keras_files` (Keras), `saved_model` (TensorFlow), `pytorch` (files of
PyTorch). Beside them are `hub` (download and publish), `child` (where foreign files are read), `cache` (copies of
foreign checkpoints) and `convert`.

Importing this package loads neither Keras, TensorFlow, PyTorch nor the Hub's client; each is loaded when it is used.
"""

from .common import Checkpoint, CheckpointError, CheckpointWarning, assign, check
from .registry import READERS, Reader, detect, model_files, read, select_files

__all__ = [
    "READERS",
    "Checkpoint",
    "CheckpointError",
    "CheckpointWarning",
    "Reader",
    "assign",
    "check",
    "detect",
    "model_files",
    "read",
    "select_files",
]
