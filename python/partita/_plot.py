"""Pictures with matplotlib, which is imported here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .separation import Components

#: Height of one picture, in inches.
_HEIGHT = 2.0


def _subplots(n: int, **options: Any) -> tuple[Any, Any]:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("pictures need matplotlib\n\nhint: pip install matplotlib") from error
    figure, axes = plt.subplots(n, figsize=(10, _HEIGHT * n), layout="constrained", squeeze=False, **options)
    return figure, axes[:, 0]


def spectrograms(names: list[str], powers: list[Any], duration_s: float, sample_rate: int, range_db: float) -> Figure:
    """Spectrograms below one another, in dB relative to the loudest place of all."""
    figure, axes = _subplots(len(names), sharex=True, sharey=True)
    peak = max(max((float(power.max(initial=0.0)) for power in powers), default=0.0), np.finfo(np.float32).tiny)
    image = None
    for ax, name, power in zip(axes, names, powers, strict=True):
        level_db = 10 * np.log10(np.maximum(power / peak, 10 ** (-range_db / 10)))
        image = ax.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            extent=(0, duration_s, 0, sample_rate / 2000),
            vmin=-range_db,
            vmax=0,
            cmap="magma",
            interpolation="nearest",
        )
        ax.set_title(name, loc="left")
        ax.set_ylabel("kHz")
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB")
    return figure  # type: ignore[no-any-return]


def components(found: Components, duration_s: float, sample_rate: int) -> Figure:
    """Dictionary and activations, the components in the order of the stems."""
    order = [k for group in found.groups.values() for k in group]
    figure, (upper, lower) = _subplots(2)
    dictionary = found.dictionary[:, order]
    level_db = 20 * np.log10(np.maximum(dictionary / max(float(dictionary.max(initial=0.0)), 1e-30), 1e-4))
    n = len(order)
    khz = sample_rate / 2000
    upper.imshow(level_db, origin="lower", aspect="auto", extent=(-0.5, n - 0.5, 0, khz), cmap="magma")
    upper.set(title="dictionary", ylabel="kHz", xticks=range(n), xticklabels=order)
    activations = found.activations[order]
    scaled = activations / np.maximum(activations.max(axis=1, keepdims=True, initial=0.0), 1e-30)
    lower.imshow(scaled, aspect="auto", extent=(0, duration_s, n - 0.5, -0.5), cmap="magma", interpolation="nearest")
    lower.set(title="activations", xlabel="seconds", yticks=range(n), yticklabels=order)
    edge = -0.5
    for name, group in found.groups.items():
        upper.text(edge + len(group) / 2, khz, name, ha="center", va="top", color="white")
        edge += len(group)
        upper.axvline(edge, color="white", lw=0.5)
        lower.axhline(edge, color="white", lw=0.5)
    return figure  # type: ignore[no-any-return]
