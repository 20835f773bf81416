"""Recordings in and out."""

from collections.abc import Callable
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_Path = str | PathLike[str]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["Recording", "read", "write"]

@final
class Recording:
    @staticmethod
    def of(samples: _F32, sample_rate: int) -> Recording: ...
    @staticmethod
    def open(path: _Path, start: float | None, duration: float | None, audio_track: int | None) -> Recording: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def n_channels(self) -> int: ...
    @property
    def n_samples(self) -> int | None: ...
    @property
    def notes(self) -> list[str]: ...

def read(recording: Recording, progress: _Progress) -> _F32: ...
def write(
    path: _Path,
    samples: _F32,
    sample_rate: int,
    file_format: str,
    sample_format: str | None,
    clip_mode: str | None,
    overwrite: bool,
    seed: int,
) -> tuple[float, int]: ...
