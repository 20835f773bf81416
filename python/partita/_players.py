"""Players for notebooks: a row for each stem, with its sound inside."""

from __future__ import annotations

import base64
import html
import io
import wave
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .separation import Separation


def wav_bytes(channels: Any, sample_rate: int, gain: float) -> bytes:
    """Samples as a WAV file of 16 bits."""
    frames = np.atleast_2d(channels).T * gain
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(frames.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(np.round(np.clip(frames, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def players(separation: Separation, duration_s: float) -> str:
    """The start of each stem, with a player for it."""
    n_samples = int(duration_s * separation.sample_rate)
    stems = {name: stem[..., :n_samples] for name, stem in separation._excerpt(duration_s).items()}
    peak = max((float(np.abs(stem).max(initial=0.0)) for stem in stems.values()), default=0.0)
    gain = 1.0 / max(peak, 1.0)
    rows = []
    for name, stem in stems.items():
        data = base64.b64encode(wav_bytes(stem, separation.sample_rate, gain)).decode()
        sound = f'<audio controls preload="none" src="data:audio/wav;base64,{data}"></audio>'
        rows.append(f"<tr><th>{html.escape(name)}</th><td>{sound}</td></tr>")
    whole_s = separation.n_samples / separation.sample_rate
    note = f"<p>The first {duration_s:g} of {whole_s:.1f} seconds.</p>" if whole_s > duration_s else ""
    return f"<table>{''.join(rows)}</table>{note}"
