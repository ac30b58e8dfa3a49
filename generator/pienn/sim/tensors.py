"""Arrays of the host: numpy arrays, and what turns into one by `.numpy()` (torch tensors on the processor)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pienn.errors import PiennError


class HasNumpy(Protocol):
    """A torch tensor, without torch."""

    def numpy(self) -> np.ndarray: ...


Tensor = np.ndarray | HasNumpy


def as_array(value: Tensor) -> np.ndarray:
    """The numpy array that shares the tensor's memory (gradients are left behind). PiennError for other things."""
    if isinstance(value, np.ndarray):
        return value
    if not callable(getattr(value, "numpy", None)):
        raise PiennError(f"{type(value).__name__}: give a number, a buffer, a numpy array or a torch tensor")
    detach = getattr(value, "detach", None)
    return (detach() if detach else value).numpy()
