"""What the tests share: the bundled samples."""

from __future__ import annotations

import numpy as np
import pytest
from samples import SONG

import partita


@pytest.fixture(scope="session")
def song() -> tuple[np.ndarray, int]:
    """Two seconds of a mixture of drums, bass and guitar, in one channel."""
    return partita.read(SONG, duration=2.0)


@pytest.fixture(scope="session")
def stereo(song) -> tuple[np.ndarray, int]:
    """The same in two channels."""
    samples, sample_rate = song
    return np.stack([samples, 0.5 * np.roll(samples, 7)]), sample_rate
