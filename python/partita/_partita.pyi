"""The native half of the package; what users call is in Python, beside it."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

__version__: str

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_Path = str | PathLike[str]
_Floats = npt.NDArray[Any]
_Learned = tuple[_Floats, _Floats, _Floats, float, float, int]
_Progress = Callable[[str, int, int | None, float | None], Any] | None
_Notes = list[tuple[float, float, int, int]]

class Cancelled(Exception):
    """The work was ended by a progress callback that returned False."""

def num_threads() -> int:
    """Number of threads that work is done on."""

def set_num_threads(n: int | None = None) -> None:
    """Sets the number of threads; ``None`` is one for each processor (or what ``RAYON_NUM_THREADS`` says)."""

def run_command(args: Sequence[str]) -> int: ...

class nmf:
    @staticmethod
    def fit(
        v: Any,
        w: _Floats,
        h: _Floats,
        settings: dict[str, Any],
        weights: _Floats | None,
        progress: _Progress,
    ) -> tuple[_Floats, _Floats, int, float]: ...
    @staticmethod
    def select_rank(
        v: _Floats,
        first: int,
        last: int,
        share: float,
        n_repeats: int,
        settings: dict[str, Any],
        progress: _Progress,
    ) -> tuple[int, list[float], list[float]]: ...
    @staticmethod
    def fit_batches(
        v: Any, w: _Floats, h: _Floats, settings: dict[str, Any], progress: _Progress
    ) -> tuple[_Floats, int, float, _Learned]: ...
    @staticmethod
    def partial_fit(v: Any, w: _Floats, before: _Learned | None, settings: dict[str, Any]) -> _Learned: ...
    @staticmethod
    def batch_activations(v: Any, learned: _Learned, settings: dict[str, Any]) -> _Floats: ...

class audio:
    @final
    class Recording:
        @staticmethod
        def of(samples: _F32, sample_rate: int) -> audio.Recording: ...
        @staticmethod
        def open(
            path: _Path, start: float | None, duration: float | None, audio_track: int | None
        ) -> audio.Recording: ...
        @property
        def sample_rate(self) -> int: ...
        @property
        def n_channels(self) -> int: ...
        @property
        def n_samples(self) -> int | None: ...
        @property
        def notes(self) -> list[str]: ...

    @staticmethod
    def read(recording: audio.Recording, progress: _Progress) -> _F32: ...
    @staticmethod
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

class separate:
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
        def label(self, names: list[tuple[str, list[int]]]) -> separate.Separation: ...
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

    @staticmethod
    def fit(
        method: str,
        recording: audio.Recording,
        options: dict[str, Any],
        previous: separate.Separation | None = None,
        progress: _Progress = None,
    ) -> separate.Separation: ...

class metrics:
    @staticmethod
    def bss_eval(
        references: list[_F32],
        estimates: list[_F32],
        framing: tuple[float, float] | None,
        n_taps: int,
        sources_mode: bool,
        apart: bool,
        permute: bool,
        progress: _Progress = None,
    ) -> tuple[_F64, list[int]]: ...
