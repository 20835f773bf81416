"""Taking recordings apart."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

from .audio import Recording

_F32 = npt.NDArray[np.float32]
_Path = str | PathLike[str]
_Notes = list[tuple[float, float, int, int]]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["Separation", "fit"]

@final
class Separation:
    @property
    def names(self) -> list[str]: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def form(self) -> tuple[int, int, int, int, int]: ...
    def stem_names(
        self, only: list[str] | None = None, two_stems: str | None = None, components: bool = False
    ) -> list[str]: ...
    def render(
        self,
        only: list[str] | None = None,
        two_stems: str | None = None,
        components: bool = False,
        progress: _Progress = None,
    ) -> list[_F32]: ...
    def render_range(self, start: int, stop: int) -> list[_F32]: ...
    def label(self, names: list[tuple[str, list[int]]]) -> Separation: ...
    def masks(self, start: int, stop: int) -> _F32: ...
    def overviews(self, max_columns: int, progress: _Progress) -> list[_F32]: ...
    @property
    def components(self) -> dict[str, Any] | None: ...
    @property
    def hits(self) -> list[tuple[str, float, float]]: ...
    @property
    def notes(self) -> list[tuple[str, _Notes]] | None: ...
    def midi(self) -> bytes | None: ...
    def save(
        self,
        paths: Sequence[_Path],
        only: list[str] | None,
        two_stems: str | None,
        components: bool,
        file_format: str,
        sample_format: str | None,
        clip_mode: str | None,
        overwrite: bool,
        seed: int,
        progress: _Progress,
    ) -> list[tuple[str, str, float, float, int]]: ...

def fit(
    method: str,
    recording: Recording,
    options: dict[str, Any],
    previous: Separation | None = None,
    progress: _Progress = None,
) -> Separation: ...
