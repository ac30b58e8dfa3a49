"""The firmware's `main/camera.c`, compiled for this machine: training sees what the chip will see, to the bit."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import numpy as np

from pienn.codegen.native import compile_files

FOLDER = Path(__file__).parent / "main"
WIDTH, HEIGHT = 160, 120
"""QQVGA: the smallest picture that the usual camera modules send."""
RGB565, RGB888 = 0, 1


class _Picture(ctypes.Structure):
    """struct picture of camera.h"""

    _fields_ = [
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("format", ctypes.c_int),
    ]


def to_rgb565(picture: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] to uint8 [height, width, 2], the high byte first: 5, 6 and 5 bits of each colour."""
    red, green, blue = np.moveaxis(picture.astype(np.uint16), -1, 0)
    return (
        ((red >> 3 << 11) | (green >> 2 << 5) | blue >> 3).astype(">u2").view(np.uint8).reshape(*red.shape, 2)
    )


class Camera:
    """`fit` of a picture of either format."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory(prefix="camera-") as build:
            library = Path(build) / "camera.so"
            flags = ("-std=c11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")
            compile_files([FOLDER / "camera.c"], library, flags, [FOLDER])
            self._library = ctypes.CDLL(str(library))
        self._library.camera_fit.restype = None

    def fit(self, picture: np.ndarray, size: int) -> np.ndarray:
        """uint8 [height, width, 3], or 2 bytes a pixel for RGB565, to uint8 [size, size, 3]."""
        picture = np.ascontiguousarray(picture)
        height, width, depth = picture.shape
        described = _Picture(picture.ctypes.data, width, height, RGB888 if depth == 3 else RGB565)
        same, found = np.arange(256, dtype=np.uint8), np.zeros((size, size, 3), np.uint8)
        arrays = (same, np.zeros(6 * size, np.uint32), found)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        self._library.camera_fit(ctypes.byref(described), ctypes.c_int32(size), *pointers)
        return found
