"""The safetensors format, for the three element types of a graph; the reader trusts nothing.

Layout: uint64 length of the header, the header (JSON: name to dtype, shape, data_offsets), the data.
Source of the format: github.com/huggingface/safetensors, README.md, "Format".
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

DTYPES: Mapping[str, np.dtype[Any]] = {
    "I8": np.dtype("<i1"),
    "U16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
}
MOST_HEADER_BYTES = 8 << 20
MOST_TENSORS = 1 << 16
NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")


class TensorsError(ValueError):
    """What is wrong with the bytes, in one line."""


def dump(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file's bytes; wide elements first, so that all are aligned, then by name."""
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    codes = {np.dtype(kind).name: code for code, kind in DTYPES.items()}
    header: dict[str, Any] = {}
    chunks: list[bytes] = []
    offset = 0
    for name in order:
        code = codes[arrays[name].dtype.name]
        data = np.ascontiguousarray(arrays[name], DTYPES[code]).tobytes()
        header[name] = {
            "dtype": code,
            "shape": list(arrays[name].shape),
            "data_offsets": [offset, offset + len(data)],
        }
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *chunks])


def load(data: bytes) -> dict[str, np.ndarray]:
    """The arrays by name; TensorsError for anything that `dump` could not have written."""
    if len(data) < 8:
        raise TensorsError("it is shorter than its length field")
    length = struct.unpack_from("<Q", data)[0]
    if length > min(MOST_HEADER_BYTES, len(data) - 8):
        raise TensorsError(f"its header claims {length} bytes")
    header = read_json(data[8 : 8 + length])
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise TensorsError(f"its header is not an object of at most {MOST_TENSORS} tensors")
    body = memoryview(data)[8 + length :]
    arrays: dict[str, np.ndarray] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if not NAME.fullmatch(name) or name == "__metadata__":
            raise TensorsError(f"the tensor name {name[:40]!a} is not 1 to 200 of A-Z a-z 0-9 _ .")
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise TensorsError(f"tensor {name} has not just dtype, shape and data_offsets")
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
            raise TensorsError(f"tensor {name} is none of {', '.join(DTYPES)}")
        kind = DTYPES[entry["dtype"]]
        shape, offsets = _integers(name, entry["shape"]), _integers(name, entry["data_offsets"])
        if not 1 <= len(shape) <= 4 or min(shape) < 1:
            raise TensorsError(f"tensor {name} does not have 1 to 4 axes, none empty")
        if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= len(body):
            raise TensorsError(f"tensor {name} lies outside the data")
        if offsets[1] - offsets[0] != math.prod(shape) * kind.itemsize:
            raise TensorsError(f"tensor {name} has not as many bytes as its shape says")
        spans.append((offsets[0], offsets[1]))
        array = np.frombuffer(body[offsets[0] : offsets[1]], kind).reshape(shape)
        arrays[name] = array.astype(kind.newbyteorder("="))
    ends = [0, *(end for _, end in sorted(spans))]
    if [begin for begin, _ in sorted(spans)] != ends[:-1] or ends[-1] != len(body):
        raise TensorsError("its tensors overlap, or there are gaps between them")
    return arrays


def _integers(name: str, value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(item) is int for item in value) or len(value) > 4:
        raise TensorsError(f"shape or data_offsets of tensor {name} is not a short list of integers")
    return value


def read_json(data: bytes) -> Any:
    """A JSON document in ASCII without duplicate keys, NaN, infinities or long numbers; else TensorsError."""
    try:
        return json.loads(
            data.decode("ascii"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except TensorsError:
        raise
    except RecursionError:
        raise TensorsError("its JSON is nested too deep") from None
    except ValueError:
        raise TensorsError("its JSON is malformed") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise TensorsError("its JSON has a key twice")
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text) > 16:
        raise TensorsError("its JSON has a number that is too large")
    return int(text)


def _float(text: str) -> float:
    if len(text) > 40 or not math.isfinite(float(text)):
        raise TensorsError("its JSON has a number that is too large")
    return float(text)


def _constant(text: str) -> float:
    raise TensorsError(f"its JSON contains {text}")
