"""Calibration inputs: from files, from arrays, from data loaders, or random, as batches of tensors."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pienn.errors import PiennError

BATCH = 32
MOST_INPUTS = 4096
LARGEST_FILE = 1 << 32

Batches = list[tuple[Tensor, ...]]
"""Batches of float32 tensors with batch axis; one tensor per network input."""


def read_inputs(path: Path, names: Sequence[str]) -> tuple[Tensor, ...]:
    """The arrays of an `.npz` or `.npy` file as float32 tensors in torch layout with batch axis.

    Arrays are taken by the names of the inputs if all are there, otherwise the first arrays in file order.
    float32/float64 hold reals; int8 and uint8 are taken as the reals they show. No pickled arrays.
    """
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            stored = {"": loaded} if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:100]
        raise PiennError(f"{path}: no readable .npz or .npy of plain arrays ({reason})") from None
    if all(name in stored for name in names):
        chosen = [stored[name] for name in names]
    else:
        chosen = list(stored.values())[: len(names)]
    if len(chosen) < len(names):
        raise PiennError(f"{path}: holds {len(chosen)} arrays, but the network has {len(names)} inputs")
    return tuple(as_tensor(array, f"{path}: {name}") for array, name in zip(chosen, names))


def as_tensor(array: Any, place: str) -> Tensor:
    """float32 tensor of an array or tensor of reals; refuses emptiness, NaN and infinity."""
    try:
        tensor = (
            array.detach().cpu()
            if isinstance(array, Tensor)
            else torch.from_numpy(np.ascontiguousarray(array))
        )
    except (TypeError, ValueError) as error:
        raise PiennError(f"{place}: {error}") from None
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise PiennError(f"{place}: elements are {tensor.dtype}; float32, int8 or uint8 are expected")
    tensor = tensor.to(torch.float32)
    if tensor.dim() == 0 or tensor.numel() == 0:
        raise PiennError(f"{place}: no inputs in it; give at least one input, with a batch axis")
    if not bool(torch.isfinite(tensor).all()):
        raise PiennError(f"{place}: NaN or infinity among the calibration inputs")
    return tensor


def check_shapes(tensors: Sequence[Tensor], shapes: Sequence[Sequence[int]], place: str) -> None:
    """The tensors must be batches of the given shapes, equally many of each."""
    if len(tensors) != len(shapes):
        raise PiennError(f"{place}: {len(tensors)} arrays, but the network has {len(shapes)} inputs")
    for tensor, shape in zip(tensors, shapes):
        if tuple(tensor.shape[1:]) != tuple(shape):
            wanted = ", ".join(["N", *map(str, shape)])
            raise PiennError(f"{place}: shape {tuple(tensor.shape)}, but the network takes ({wanted})")
    if len({len(tensor) for tensor in tensors}) > 1:
        raise PiennError(f"{place}: inputs with different batch sizes {[len(t) for t in tensors]}")


def random_inputs(shapes: Sequence[Sequence[int]], count: int, seed: int) -> tuple[Tensor, ...]:
    """`count` inputs of standard normal noise per shape; the same on every machine for the same seed."""
    if count < 1:
        raise PiennError(f"--random {count}: at least one input is needed")
    generator = np.random.default_rng(seed)
    return tuple(
        torch.from_numpy(generator.standard_normal((count, *shape), dtype=np.float32)) for shape in shapes
    )


def batches(calibration: Any, module: nn.Module) -> Batches:
    """Calibration in any form that a user may hold, as batches of at most `BATCH` inputs.

    A tensor or array (one network input), a tuple of them (one per network input), or an iterable of such
    batches, for instance a data loader; labels behind the inputs in a batch are dropped.
    """
    count = _input_count(module)
    if isinstance(calibration, (Tensor, np.ndarray)):
        whole: Iterable[Any] = [(calibration,)]
    elif isinstance(calibration, tuple) and all(
        isinstance(part, (Tensor, np.ndarray)) for part in calibration
    ):
        whole = [calibration]
    elif isinstance(calibration, Iterable):
        whole = calibration
    else:
        raise PiennError(
            f"calibration is {type(calibration).__name__}, not tensors or an iterable of batches"
        )
    found: Batches = []
    taken = 0
    for part in whole:
        parts = part if isinstance(part, (list, tuple)) else (part,)
        tensors = [as_tensor(tensor, "calibration") for tensor in parts[: count or len(parts)]]
        if len({len(tensor) for tensor in tensors}) > 1:
            raise PiennError(f"calibration inputs have different batch sizes {[len(t) for t in tensors]}")
        found += list(zip(*(tensor.split(BATCH) for tensor in tensors)))
        taken += len(tensors[0])
        if taken >= MOST_INPUTS:
            break
    if not found:
        raise PiennError("calibration holds no inputs; give at least one")
    return found


def _input_count(module: nn.Module) -> int | None:
    """How many tensors `forward` needs, or None where its signature does not tell."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.kind == inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters) or None
