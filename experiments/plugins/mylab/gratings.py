"""A data source: striped pictures that are computed, one class a direction of the stripes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source

SIZE = 16  # pixels


class Gratings:
    """Noisy gratings; options: `classes` (directions, default 4) and `images` (of the training part, default 400)."""

    def identity(self, settings: DataSettings) -> dict[str, Any]:
        """Tell what the pictures depend on."""
        return {"version": 1, **self._options(settings)}

    def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
        """Compute both parts."""
        options = self._options(settings)
        train, test = (_part(options["classes"], n, seed) for n, seed in ((options["images"], 0), (100, 1)))
        return Source(options["classes"], None, train, test)

    def _options(self, settings: DataSettings) -> dict[str, int]:
        options = {"classes": 4, "images": 400} | settings.options
        if unknown := set(options) - {"classes", "images"}:
            raise ValueError(f"source gratings has no option {sorted(unknown)[0]!r}; known: classes, images")
        return options


def _part(classes: int, count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = (np.pi * labels / classes)[:, None, None]
    wave = np.sin(0.9 * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 2 * np.pi, (count, 1, 1)))
    pixels = np.clip(127 + 70 * wave + rng.normal(0, 60, wave.shape), 0, 255).astype(np.uint8)
    return Images(labels, lambda start, stop: list(pixels[start:stop]), lambda i: f"grating {i}")
