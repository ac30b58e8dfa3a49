"""Arrays at the border: .npy and .npz files in torch layout with batch axis; stored int8 in graph layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pienn.errors import PiennError
from pienn.ir.border import quantise
from pienn.ir.graph import Graph, Port

REALS = ("float16", "float32", "float64", "uint8", "int16", "int32", "int64")


def read_arrays(path: Path, ports: Sequence[Port]) -> list[np.ndarray]:
    """The network's inputs out of a .npy (one input) or .npz file (by input name, or in order), in torch layout.

    Raises PiennError where the file is unreadable, an input is missing, a shape differs or a value is NaN.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise PiennError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise PiennError(f"{path}: not a .npy or .npz file of plain arrays: {error}") from None
    if isinstance(loaded, np.ndarray):
        arrays = [loaded]
    else:
        with loaded:
            named = all(port.name in loaded.files for port in ports)
            keys = [port.name for port in ports] if named else loaded.files[: len(ports)]
            try:
                arrays = [loaded[key] for key in keys]
            except (OSError, ValueError, EOFError) as error:
                raise PiennError(f"{path}: an array in it cannot be read: {error}") from None
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise PiennError(f"{path}: not a .npy or .npz file of plain arrays")
    if len(arrays) != len(ports):
        names = ", ".join(port.name for port in ports)
        raise PiennError(
            f"{path}: {len(arrays)} arrays, the network has the inputs {names}: give a .npz with these names"
        )
    for array, port in zip(arrays, ports):
        check_array(array, port, str(path))
    if len({len(array) for array in arrays}) != 1:
        raise PiennError(f"{path}: the inputs have different batch sizes {[len(array) for array in arrays]}")
    return arrays


def torch_shape(port: Port) -> tuple[int, ...]:
    """The port's shape in torch layout, without batch axis."""
    shape = [0] * len(port.shape)
    for graph_axis, torch_axis in enumerate(port.permutation):
        shape[torch_axis] = port.shape[graph_axis]
    return tuple(shape)


def check_array(array: np.ndarray, port: Port, source: str) -> None:
    """Shape and dtype of one input; raises PiennError."""
    expected = torch_shape(port)
    if array.shape[1:] != expected or array.ndim != len(expected) + 1:
        hint = ": add the batch axis with x[None]" if array.shape == expected else ""
        wanted = ", ".join(["batch", *map(str, expected)])
        raise PiennError(
            f"{source}: input {port.name} has shape {list(array.shape)}, expected [{wanted}]{hint}"
        )
    if len(array) == 0:
        raise PiennError(f"{source}: input {port.name} is empty")
    if array.dtype.name not in (*REALS, "int8"):
        raise PiennError(
            f"{source}: input {port.name} has dtype {array.dtype}: give reals (float32) or stored int8 values"
        )


def to_graph(array: np.ndarray, port: Port) -> np.ndarray:
    """Torch layout, reals or int8, to stored int8 in graph layout."""
    stored = quantise(array, port.exponent, port.zero_point)
    return np.ascontiguousarray(stored.transpose(0, *(axis + 1 for axis in port.permutation)))


def to_torch(array: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    """Graph layout to torch layout, both with batch axis."""
    inverse = np.argsort(permutation)
    return np.ascontiguousarray(array.transpose(0, *(int(axis) + 1 for axis in inverse)))


def random_stored(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """Stored int8 inputs in graph layout: every value as likely as any other, and whole inputs at either rail.

    One input in eight holds rails alone (-128 and 127 mixed), which is where saturation lives.
    """
    generator = np.random.default_rng(seed)
    inputs = []
    for port in graph.inputs:
        array = generator.integers(-128, 128, (count, *port.shape), dtype=np.int8)
        rails = np.where(array < 0, np.int8(-128), np.int8(127))
        array[7::8] = rails[7::8]
        inputs.append(array)
    return inputs
