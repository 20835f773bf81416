"""A recording taken apart: its stems, and all that is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _partita
from ._audio import Array, Source
from ._progress import ProgressLike, listener
from ._settings import fail, integer

if TYPE_CHECKING:
    from IPython.display import Audio
    from matplotlib.figure import Figure

__all__ = ["Components", "Hit", "Note", "SavedStem", "Separation"]

#: Seconds of each stem that a notebook plays: what it plays is kept in the notebook.
_PLAYED_S = 30.0


class Components(NamedTuple):
    """What a factorization found.

    Attributes
    ----------
    dictionary : ndarray of float32, shape (n_bins, n_components)
        The spectrum of each component.
    activations : ndarray of float32, shape (n_components, n_frames)
        When each component sounds, in the frames that were kept (all, of recordings of some minutes).
    groups : dict of str to list of int
        The components of each stem.
    n_iter : int or None
        Iterations that were done.
    divergence : float or None
        What is left between spectrogram and product.
    divergence_curve : list of (int, float)
        The objective over the iterations.
    stop_reason : str or None
        Why the fit ended.
    """

    dictionary: npt.NDArray[np.float32]
    activations: npt.NDArray[np.float32]
    groups: dict[str, list[int]]
    n_iter: int | None
    divergence: float | None
    divergence_curve: list[tuple[int, float]]
    stop_reason: str | None


class Hit(NamedTuple):
    """One hit of a drum: its stem, time in seconds, and level relative to the strongest."""

    drum: str
    onset: float
    level: float


class Note(NamedTuple):
    """One note: seconds, MIDI key (69 is A4) and velocity (1 to 127)."""

    onset: float
    offset: float
    pitch: int
    velocity: int


class SavedStem(NamedTuple):
    """A stem that was written.

    Attributes
    ----------
    name : str
        The stem.
    path : Path
        Its file.
    energy_share : float
        Its energy relative to that of the recording.
    gain : float
        What every sample was multiplied by; 1 but for ``clip_mode="rescale"``.
    n_clamped : int
        Samples that ``clip_mode="clamp"`` cut off.
    """

    name: str
    path: Path
    energy_share: float
    gain: float
    n_clamped: int


class Separation(Mapping[str, Array]):
    """A recording taken apart: a mapping of the names of its stems to their samples.

    Stems are made when they are first asked for, and sum to the recording, sample by sample. They have the axis order
    and the dtype of the array that was given. Of a file they are float32; of one that is longer than memory,
    :meth:`save` writes them without holding them.

    It can be pickled: what was given and how it was fitted goes along, and the fit is done again where more than the
    stems is asked of it; the same seed gives the same bits.

    Attributes
    ----------
    names : list of str
        The names of the stems.
    sample_rate : int
        Samples per second, in Hz.
    n_channels, n_samples : int
        Of the recording, and of each stem.
    n_fft, hop_length : int
        Of the transform that masks and components are in.
    warnings : list of str
        What you should know although there is a result.
    """

    def __init__(self, method: str, source: Source, steps: tuple[dict[str, Any], ...], native: Any) -> None:
        self._method = method
        self._source = source
        self._steps = steps
        self._handle = native
        self._stems: dict[str, Array] | None = None
        self.names: list[str] = native.names
        self.warnings: list[str] = native.warnings
        self.sample_rate, self.n_channels, self.n_samples, self.n_fft, self.hop_length = native.form

    # ---- stems ---------------------------------------------------------------------------------------------------

    @property
    def stems(self) -> dict[str, Array]:
        """The samples of each stem, ``(n,)`` or ``(channels, n)`` as the recording."""
        if self._stems is None:
            self._stems = self.render()
        return self._stems

    def render(
        self,
        only: Iterable[str] | None = None,
        *,
        two_stems: str | None = None,
        components: bool = False,
        progress: ProgressLike = None,
    ) -> dict[str, Array]:
        """Make stems, others than :attr:`stems` if so asked.

        Parameters
        ----------
        only : iterable of str, optional
            Only the stems of these names.
        two_stems : str, optional
            This stem, and everything else as ``"no_NAME"``.
        components : bool
            Each component of the factorization by itself.
        progress : bool or function, optional
            See :data:`partita.ProgressLike`.

        Returns
        -------
        dict of str to ndarray
            The samples of each stem.
        """
        names = None if only is None else list(only)
        found = self._native.stem_names(names, two_stems, components)
        with listener(progress) as tell:
            rendered = self._native.render(names, two_stems, components, tell)
        return {name: self._source.like(stem) for name, stem in zip(found, rendered, strict=True)}

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        return self.stems[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mixture(self) -> Array:
        """The recording that was taken apart."""
        if isinstance(self._source.value, str):
            return self._source.like(_partita.audio.read(self._source.native, None))
        return self._source.value  # type: ignore[no-any-return]

    # ---- what was found ------------------------------------------------------------------------------------------

    @property
    def n_frames(self) -> int:
        """Frames of the transform over the whole recording."""
        return -(-self.n_samples // self.hop_length) + 1 if self.n_samples else 0

    @property
    def masks(self) -> npt.NDArray[np.float32]:
        """The masks of all stems over the whole recording, of shape ``(n_stems, n_bins, n_frames)``.

        In [0, 1], summing to one over the stems. Of a long recording, :meth:`mask` takes less memory.
        """
        return self.mask(0, None)

    def mask(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """The masks of all stems in a range of frames, of shape ``(n_stems, n_bins, stop - start)``."""
        stop = 2**62 if stop is None else integer("stop", stop)
        masks: npt.NDArray[np.float32] = self._native.masks(integer("start", start), stop)
        return masks

    @property
    def components(self) -> Components | None:
        """The components that a factorization found; ``None`` for methods that find none."""
        found = self._native.components
        if found is None:
            return None
        return Components(
            found["dictionary"],
            found["activations"],
            dict(found["groups"]),
            found.get("n_iter"),
            found.get("divergence"),
            found.get("divergence_curve", []),
            found.get("stop_reason"),
        )

    @property
    def hits(self) -> list[Hit]:
        """The hits of drums in the order of time; none where no drums were looked for."""
        return [Hit(*hit) for hit in self._native.hits]

    @property
    def notes(self) -> dict[str, list[Note]] | None:
        """The notes of each part, as they were found or given; ``None`` where there are none."""
        parts = self._native.notes
        return None if parts is None else {name: [Note(*note) for note in notes] for name, notes in parts}

    def refit(self, *, progress: ProgressLike = None, **changes: Any) -> Separation:
        """Fit again with some settings changed, on from what was found.

        It takes a fraction of the time: the recording is not looked at again where its transform stays, the
        factorization starts from the components that are there, and what was learned from examples is kept.

        Parameters
        ----------
        progress : bool or function, optional
            See :data:`partita.ProgressLike`.
        **changes
            Settings of the function that made this separation.

        Returns
        -------
        Separation
            A new one.

        Examples
        --------
        >>> import partita
        >>> parts = partita.separate("samples/drums-bass-guitar.wav", n_sources=2, max_iter=20)
        >>> parts.refit(n_sources=3).names
        ['source-1', 'source-2', 'source-3']
        """
        from . import _fitting

        return _fitting.refit(self, changes, progress)

    def label(self, names: Mapping[str, Iterable[int]]) -> Separation:
        """Give components names by hand: the stems are then what was named.

        Parameters
        ----------
        names : mapping of str to iterable of int
            The components (from 0) of each stem. Components that are named nowhere follow those that they are most
            like.

        Returns
        -------
        Separation
            A new one, of the same components.
        """
        return self.refit(_labels={str(name): [integer("component", k) for k in ks] for name, ks in names.items()})

    # ---- out -----------------------------------------------------------------------------------------------------

    def save(
        self,
        folder: str | os.PathLike[str] = "separated",
        *,
        filename: str = "{stem}.{ext}",
        file_format: str = "wav",
        sample_format: str | None = None,
        clip_mode: str | None = None,
        stem: str | Iterable[str] | None = None,
        two_stems: str | None = None,
        components_out: bool = False,
        midi_out: bool = False,
        force: bool = False,
        seed: int = 0,
        progress: ProgressLike = None,
    ) -> list[SavedStem]:
        """Write the stems to files, block by block: in bounded memory, however long the recording.

        All files get their names when all are complete.

        Parameters
        ----------
        folder : str or path
            Where to; folders that are missing are made.
        filename : str
            The file of each stem below the folder, with ``{track}``, ``{stem}`` and ``{ext}``.
        file_format : {"wav", "flac"}
            The kind of file.
        sample_format : {"int16", "int24", "float32"}, optional
            By default float32 for WAV, int24 for FLAC.
        clip_mode : {"rescale", "clamp", "none"}, optional
            What to do where a stem exceeds full scale: one lower gain for all stems, cut off, or nothing. By default
            ``"none"`` for float32, else ``"rescale"``.
        stem : str or iterable of str, optional
            Only these stems.
        two_stems : str, optional
            This stem, and everything else as ``"no_NAME"``.
        components_out : bool
            Also each component, in a folder ``components``.
        midi_out : bool
            Also the notes as ``notes.mid``, or the hits as ``drums.mid``.
        force : bool
            Whether files that exist are replaced.
        seed : int
            Of the dither of int16.
        progress : bool or function, optional
            See :data:`partita.ProgressLike`.

        Returns
        -------
        list of SavedStem
            What was written, without components and MIDI.

        Raises
        ------
        FileExistsError
            If a file exists and ``force`` is not set.
        """
        only = None if stem is None else [stem] if isinstance(stem, str) else list(stem)
        if only is not None and two_stems is not None:
            raise fail("`stem` and `two_stems` are given, expected one of them", "leave one out")
        midi = self._native.midi() if midi_out else None
        if midi_out and midi is None:
            raise fail(
                "there are no notes to write", "use `midi_out` with drums, a score, or examples of all that play"
            )

        def path(name: str, ext: str, below: str = "") -> Path:
            try:
                file = filename.format(track=self._source.track, stem=name, ext=ext)
            except (KeyError, IndexError, ValueError) as error:
                hint = 'use filename="{track}/{stem}.{ext}"'
                raise fail(f"`filename` is {filename!r}, expected {{track}}, {{stem}} and {{ext}}", hint) from error
            whole = Path(folder) / file
            return whole.parent / below / whole.name

        midi_path = path("drums" if self.hits else "notes", "mid")
        if midi is not None and midi_path.exists() and not force:
            raise FileExistsError(f"`{midi_path}` exists already\n\nhint: set force=True to replace it")

        def write(components: bool, below: str) -> list[SavedStem]:
            given = (None, None, True) if components else (only, two_stems, False)
            names = self._native.stem_names(*given)
            paths = [path(name, file_format, below) for name in names]
            if len(set(paths)) < len(paths):
                raise fail(f"`filename` is {filename!r}, one file for several stems", 'use "{stem}.{ext}"')
            with listener(progress) as tell:
                written = self._native.save(
                    paths, *given, file_format, sample_format, clip_mode, bool(force), integer("seed", seed), tell
                )
            return [SavedStem(name, Path(file), *rest) for name, file, *rest in written]

        saved = write(False, "")
        if components_out:
            write(True, "components")
        if midi is not None:
            midi_path.parent.mkdir(parents=True, exist_ok=True)
            midi_path.write_bytes(midi)
        return saved

    def plot(self, *, max_columns: int = 1000, range_db: float = 80.0) -> Figure:
        """Draw the spectrograms of the recording and of its stems, in dB.

        Parameters
        ----------
        max_columns : int
            Columns of each picture at the most; longer recordings are averaged.
        range_db : float
            What lies this far below the loudest place is black.

        Returns
        -------
        matplotlib.figure.Figure
            One picture below the other, with one scale.
        """
        from ._plot import spectrograms

        powers = self._native.overviews(integer("max_columns", max_columns, 1), None)
        names = ["mixture", *self.names]
        return spectrograms(names, powers, self.n_samples / self.sample_rate, self.sample_rate, range_db)

    def plot_components(self) -> Figure:
        """Draw the dictionary and the activations of a factorization, by stems."""
        from ._plot import components

        found = self.components
        if found is None:
            raise fail("there are no components: this separation is not a factorization", "use partita.separate")
        return components(found, self.n_samples / self.sample_rate, self.sample_rate)

    def audio(self, name: str) -> Audio:
        """A player for one stem, in a notebook."""
        from IPython.display import Audio

        return Audio(np.asarray(self[name]), rate=self.sample_rate, normalize=False)  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        from ._players import players

        return players(self, _PLAYED_S)

    def __repr__(self) -> str:
        duration_s = self.n_samples / self.sample_rate
        return f"<Separation of {self._source.label} ({duration_s:.1f} s): {', '.join(self.names)}>"

    # ---- pickling ------------------------------------------------------------------------------------------------

    @property
    def _native(self) -> Any:
        if self._handle is None:
            from . import _fitting

            self._handle = _fitting.replay(self._method, self._source, self._steps)
        return self._handle

    def _excerpt(self, duration_s: float) -> dict[str, Array]:
        """The start of each stem, for players."""
        if self._stems is not None or self.n_samples <= duration_s * self.sample_rate:
            return self.stems
        stems = self._native.render_range(0, int(duration_s * self.sample_rate))
        return dict(zip(self.names, stems, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}
