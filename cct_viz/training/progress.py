"""The progress of a training: epoch, metrics, speed and remaining time."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras


class Progress(keras.callbacks.Callback):
    """Prints one line for each epoch; on a terminal also a line for the current epoch, updated every second.

    The remaining time assumes the average pace of this run so far, including compilation and validation.

    Args:
        epochs: number of epochs of the whole training.
        images_per_epoch: number of training images in each epoch.
    """

    def __init__(self, epochs: int, *, images_per_epoch: int):
        super().__init__()
        self.epochs, self.images_per_epoch = epochs, images_per_epoch
        self.first: int | None = None  # the first epoch of this run
        self.terminal = sys.stdout.isatty()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_began = self.trained = self.printed = time.monotonic()
        if self.first is None:
            self.first, self.began = epoch, self.epoch_began
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.trained = time.monotonic()
        if self.terminal and self.trained - self.printed >= 1:
            self.printed = self.trained
            share = (batch + 1) / self.params["steps"]
            print(f"\r{self._describe(share)}", end="", flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"{chr(13) * self.terminal}{self._describe(1.0)}: {figures}", flush=True)

    def _describe(self, share: float) -> str:
        """One line of progress after `share` of the current epoch."""
        done = self.epoch - (self.first or 0) + share
        left = (time.monotonic() - self.began) / done * (self.epochs - self.epoch - share)
        speed = share * self.images_per_epoch / (self.trained - self.epoch_began)
        return f"Epoch {self.epoch + 1}/{self.epochs}, {_clock(left)} left, {speed:,.0f} images/s"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
