"""The audio front end of training: tables for the firmware's C, and that C itself, compiled for this machine.

There is one definition of the features, `main/front_end.c` with the header that `write_tables` makes. What the network
is trained on is what it gets on the chip, to the bit.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import numpy as np

from pienn.codegen.native import compile_files

RATE = 16_000
"""Samples a second."""
WINDOW, HOP = 512, 320
"""Samples: 32 ms, every 20 ms."""
CLIP = RATE
"""Samples that the network hears at once."""
FRAMES = (CLIP - WINDOW) // HOP + 1
BANDS, COEFFICIENTS = 40, 10
LOWEST, HIGHEST = 60.0, 7600.0
"""Hz: the outer edges of the mel bands."""
PART_BITS, LOG_BITS, BAND_BITS, MATRIX_BITS, FEATURE_BITS = 12, 5, 10, 16, 8
"""Fraction bits: of a bin's part in a band, of the logarithm's table (as index), of bands, matrix, and features."""
FLOOR = 256 << PART_BITS
"""Energy that is added to every band: about that of rounding to 16 bits. Digital silence has a logarithm too."""

FOLDER = Path(__file__).parent / "main"


def mel(hertz: float | np.ndarray) -> np.ndarray:
    """The mel scale of O'Shaughnessy."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0)


def mel_parts() -> np.ndarray:
    """Where each bin of the transform lies between the bands' centres, in bands: 0 is the lower end of the first."""
    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    bins = mel(np.arange(WINDOW // 2) * RATE / WINDOW)
    return np.clip((bins - edges[0]) / (edges[1] - edges[0]), 0.0, BANDS + 1)


def cosine_transform() -> np.ndarray:
    """[COEFFICIENTS, BANDS]: the first rows of the orthonormal cosine transform."""
    rows, columns = np.arange(COEFFICIENTS)[:, None], np.arange(BANDS)[None, :]
    matrix = np.cos(np.pi * rows * (columns + 0.5) / BANDS) * np.sqrt(2.0 / BANDS)
    matrix[0] /= np.sqrt(2.0)
    return matrix


def tables(mean: np.ndarray, deviation: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """C type and values of every table; mean and deviation: of the coefficients before normalisation."""
    points = WINDOW // 2
    angles = 2 * np.pi * np.arange(points) / WINDOW
    bits = points.bit_length() - 1
    reversed_bits = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(points)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    place = mel_parts()
    band = np.minimum(place.astype(int), BANDS)
    logarithms = np.log2(1 + np.arange((1 << LOG_BITS) + 1) / (1 << LOG_BITS))
    matrix = np.round(cosine_transform() / deviation[:, None] * (1 << MATRIX_BITS))
    half_a_step = 0.5 / (1 << FEATURE_BITS)
    offset = np.round((half_a_step - mean / deviation) * (1 << (MATRIX_BITS + BAND_BITS)))
    return {
        "reversed": ("uint8_t", np.array(reversed_bits)),
        "hann": ("int16_t", np.minimum(np.round(hann * 32768), 32767)),
        "cosine": ("int32_t", np.minimum(np.round(np.cos(angles) * 2**31), 2**31 - 1)),
        "sine": ("int32_t", np.minimum(np.round(np.sin(angles) * 2**31), 2**31 - 1)),
        "band": ("uint8_t", band),
        "part": ("uint16_t", np.round((place - band) * (1 << PART_BITS))),
        "log2": ("uint16_t", np.round(logarithms * 32768)),
        "matrix": ("int32_t", matrix),
        "offset": ("int64_t", offset),
    }


def write_tables(path: Path, mean: np.ndarray | None = None, deviation: np.ndarray | None = None) -> None:
    """front_end_tables.h; without mean and deviation the coefficients are not normalised."""
    mean = np.zeros(COEFFICIENTS) if mean is None else mean
    deviation = np.ones(COEFFICIENTS) if deviation is None else deviation
    sizes = {
        "RATE": RATE, "WINDOW": WINDOW, "HOP": HOP, "CLIP": CLIP, "FRAMES": FRAMES, "BANDS": BANDS,
        "COEFFICIENTS": COEFFICIENTS, "POINTS_LOG2": (WINDOW // 2).bit_length() - 1, "PART_BITS": PART_BITS,
        "LOG_BITS": LOG_BITS, "BAND_BITS": BAND_BITS, "MATRIX_BITS": MATRIX_BITS, "FEATURE_BITS": FEATURE_BITS,
        "FLOOR": FLOOR,
    }  # fmt: skip
    text = ["/* Made by front_end.py for front_end.c. Do not edit. */", "#include <stdint.h>", ""]
    text += [f"#define FRONT_END_{name} {value}" for name, value in sizes.items()]
    for name, (kind, values) in tables(mean, deviation).items():
        dimensions = "".join(f"[{size}]" for size in values.shape)
        rows = values.reshape(len(values), -1).astype(np.int64)
        text += ["", f"static const {kind} front_end_{name}{dimensions} = {{"]
        if values.ndim == 1:
            text += ["    " + "".join(f"{v}, " for v in rows[i : i + 16, 0]) for i in range(0, len(rows), 16)]
        else:
            text += ["    {" + ", ".join(map(str, row)) + "}," for row in rows]
        text += ["};"]
    path.write_text("\n".join(line.rstrip() for line in text) + "\n")


class FrontEnd:
    """`main/front_end.c` with the tables of a folder, compiled for this machine."""

    def __init__(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="front-end-") as build:
            library = Path(build) / "front_end.so"
            flags = ("-std=c11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")
            compile_files([FOLDER / "front_end.c"], library, flags, [FOLDER, folder])
            self._library = ctypes.CDLL(str(library))
        self._scratch = np.zeros(WINDOW, np.int32)
        for function in (self._library.front_end_bands, self._library.front_end_features):
            function.restype, function.argtypes = None, [ctypes.c_void_p] * 3

    def _run(self, function: str, samples: np.ndarray, kind: type, columns: int) -> np.ndarray:
        start = (len(samples) - WINDOW) % HOP
        samples = np.ascontiguousarray(samples[start:], np.int16)
        found = np.zeros(((len(samples) - WINDOW) // HOP + 1, columns), kind)
        call = getattr(self._library, function)
        source, scratch, target = samples.ctypes.data, self._scratch.ctypes.data, found.ctypes.data
        for frame in range(len(found)):
            call(source + frame * HOP * 2, scratch, target + frame * found.strides[0])
        return found

    def bands(self, samples: np.ndarray) -> np.ndarray:
        """int16 samples to [frames, BANDS]: log2 of energies. The last window ends with the samples, as on a stream."""
        return self._run("front_end_bands", samples, np.int32, BANDS) / (1 << BAND_BITS)

    def features(self, samples: np.ndarray) -> np.ndarray:
        """int16 samples to float32 [frames, COEFFICIENTS], exactly what the firmware quantises."""
        found = self._run("front_end_features", samples, np.int16, COEFFICIENTS)
        return found.astype(np.float32) / np.float32(1 << FEATURE_BITS)
