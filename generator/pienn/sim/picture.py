"""Memory as a grey image: half-block characters in a terminal, PNG in a notebook, a matplotlib figure on request."""

from __future__ import annotations

import struct
import sys
import zlib
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pienn.errors import PiennError

_HALVES = " ▄▀█"  # by (upper lit) * 2 + (lower lit)
_GREYS = 24  # of the 256-colour palette, from number 232 on
_SIDE = 320  # pixels to which a small image is enlarged in a notebook


class Picture:
    """A two-dimensional array shown from its `low` (black) to its `high` (white); by default its extremes."""

    def __init__(self, values: np.ndarray, low: float | None = None, high: float | None = None) -> None:
        if values.ndim != 2 or not values.size:
            raise PiennError(
                f"an image has rows and columns, not the shape {values.shape}: give shape=(h, w)"
            )
        self.values = values
        self.low = float(values.min()) if low is None else low
        self.high = float(values.max()) if high is None else high

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype)

    def grey(self) -> np.ndarray:
        """uint8, 0 black to 255 white."""
        span = self.high - self.low or 1
        scaled = (self.values.astype(np.float64) - self.low) * 255 / span
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)

    def text(self, colour: bool = False) -> str:
        """Two rows of pixels to a line of characters: black and white, or 24 greys by terminal colours."""
        grey = self.grey()
        if len(grey) % 2:
            grey = np.vstack([grey, np.zeros_like(grey[:1])])
        lines: list[str] = []
        for upper, lower in zip(grey[::2], grey[1::2]):
            if colour:
                pairs = zip(upper.astype(int) * _GREYS // 256 + 232, lower.astype(int) * _GREYS // 256 + 232)
                lines.append("".join(f"\x1b[38;5;{u};48;5;{low}m▀" for u, low in pairs) + "\x1b[0m")
            else:
                lines.append("".join(_HALVES[2 * (u > 127) + (low > 127)] for u, low in zip(upper, lower)))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text(colour=sys.stdout.isatty())

    def png(self, enlarge: int = 1) -> bytes:
        """The image as a PNG file, each pixel `enlarge` wide and high."""
        grey = self.grey().repeat(enlarge, axis=0).repeat(enlarge, axis=1)
        height, width = grey.shape
        rows = np.zeros((height, width + 1), np.uint8)  # a filter byte of 0 before each row
        rows[:, 1:] = grey
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )

    def _repr_png_(self) -> bytes:
        return self.png(max(1, _SIDE // max(self.values.shape)))

    def figure(self) -> Any:
        """A matplotlib figure. Raises PiennError where matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise PiennError("figures need matplotlib: pip install matplotlib") from error
        figure = Figure(figsize=(4, 4))
        axes = figure.subplots()
        axes.imshow(self.values, cmap="gray", vmin=self.low, vmax=self.high)
        return figure
