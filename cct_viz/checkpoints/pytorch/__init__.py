"""The paper's own checkpoints: PyTorch state dicts in .pth files.

- `state_dict`: a .pth -> named arrays; nothing in the file is run. The only place that needs PyTorch.
- `official`: named arrays of the paper's code -> canonical weights of a configuration.

A state dict does not say its architecture, so `read` takes the configuration, and `convert` is how people use it.
"""

from __future__ import annotations

from collections.abc import Collection

from .official import FORMAT, read

__all__ = ["FORMAT", "files", "read", "recognises"]


def recognises(names: Collection[str]) -> bool:
    return bool(files(names))


def files(names: Collection[str]) -> list[str]:
    """The first .pth or .pt file: each holds a whole state dict."""
    return sorted(name for name in names if name.endswith((".pth", ".pt")) and "/" not in name)[:1]
