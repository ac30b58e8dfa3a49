"""Models and weights from the user's files: state dicts, safetensors, factories.

A factory is a function of the user's own code that builds the module. Weights come from files that are
never trusted: `.pt` is opened with `weights_only`, `.safetensors` after its header has been vetted.
"""

from __future__ import annotations

import importlib
import json
import math
import pickle
import re
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pienn.errors import PiennError
from pienn.frontend.archive import LARGEST_FILE, check_finite

_LARGEST_HEADER = 16 << 20
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_REMEDY = "save module.state_dict() and name the code that builds the module with --factory module:function"


@dataclass(frozen=True)
class Source:
    """An eval-mode module and, where its maker told them, the shapes of its inputs without batch axis."""

    module: nn.Module
    shapes: tuple[tuple[int, ...], ...] | None


def load_factory(reference: str) -> Source:
    """Call `module:function`; it returns a module, or (module, shape) or (module, [shape, ...])."""
    name, separator, function = reference.partition(":")
    if not separator or not name or not function:
        raise PiennError(f"--factory {reference}: write it as module:function, such as nets.kws:build")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        maker = getattr(importlib.import_module(name), function)
    except ImportError as error:
        raise PiennError(f"--factory {reference}: {error}; run where Python finds the module") from None
    except AttributeError:
        raise PiennError(f"--factory {reference}: module {name} has no function {function}") from None
    try:
        made = maker()
    except Exception as error:
        raise PiennError(f"--factory {reference}: {type(error).__name__}: {error}") from None
    module, shape = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module):
        raise PiennError(f"--factory {reference}: returned {type(module).__name__}, not a torch.nn.Module")
    return Source(module.eval(), None if shape is None else input_shapes(shape, f"--factory {reference}"))


def input_shapes(shape: Any, place: str) -> tuple[tuple[int, ...], ...]:
    """One shape or a list of shapes, without batch axis, as a tuple of tuples."""
    if not isinstance(shape, (list, tuple)):
        raise PiennError(f"{place}: the input shape must be a tuple of sizes without the batch axis")
    several = [shape] if all(isinstance(size, int) for size in shape) else list(shape)
    for one in several:
        if not isinstance(one, (list, tuple)) or not all(isinstance(size, int) and size > 0 for size in one):
            raise PiennError(
                f"{place}: {one!r} is no input shape; sizes are positive numbers, without batch axis"
            )
    return tuple(tuple(one) for one in several)


def load_weights(module: nn.Module, path: Path) -> None:
    """Put the weights of a `.pt`/`.pth` state dict or a `.safetensors` file into the module."""
    tensors = read_safetensors(path) if path.suffix == ".safetensors" else read_state_dict(path)
    for name, tensor in tensors.items():
        check_finite(tensor, f"{path}: {name[:100]!r}")
    try:
        missing, unexpected = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise PiennError(f"{path}: does not fit the module: {detail}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        what = f"{missing[0]!r} is missing" if missing else f"{unexpected[0][:100]!r} belongs to no layer"
        more = len(missing) + len(unexpected) - 1
        raise PiennError(f"{path}: does not fit the module: {what}" + (f" (and {more} more)" if more else ""))


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.pt` file; a pickled module or program is refused, and nothing of it is executed."""
    _check_size(path)
    try:
        if zipfile.is_zipfile(path):
            _check_members(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except PiennError:
        raise
    except pickle.UnpicklingError as error:
        name = re.search(r"(?:GLOBAL|class|global)\s+`?([A-Za-z_][A-Za-z0-9_.]*)", str(error))
        what = f"a pickled object ({name.group(1)})" if name else "pickled objects"
        raise PiennError(
            f"{path}: holds {what}, and opening it would run code from the file; {_REMEDY}"
        ) from None
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise PiennError(
            f"{path}: is no readable state dict ({reason}); save it again with torch.save"
        ) from None
    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise PiennError(f"{path}: holds {type(content).__name__}, not a state dict; {_REMEDY}")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise PiennError(
                f"{path}: entry {str(name)[:80]!r} is {type(tensor).__name__}, not a tensor; {_REMEDY}"
            )
    if all(name.startswith("module.") for name in content):
        content = {name[len("module.") :]: tensor for name, tensor in content.items()}
    return content


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PiennError(f"{path}: {error.strerror or error}") from None
    if size > LARGEST_FILE:
        raise PiennError(f"{path}: {size} bytes, more than the {LARGEST_FILE} a model file may have")


def _check_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos]
    if any("/code/" in name for name in names):
        raise PiennError(f"{path}: is a TorchScript program, which torch no longer develops; {_REMEDY}")
    if any(name.endswith("models/model.json") for name in names):
        raise PiennError(f"{path}: is a program of torch.export; name the file .pt2")
    if sum(info.file_size for info in infos) > LARGEST_FILE:
        raise PiennError(f"{path}: its members hold more than {LARGEST_FILE} bytes")
    if len(set(names)) != len(names):
        raise PiennError(f"{path}: an archive member occurs twice; save it again with torch.save")


def read_safetensors(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` file, every claim of its header checked against the bytes."""
    _check_size(path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little") if len(data) >= 8 else -1
    if not 2 <= length <= min(_LARGEST_HEADER, len(data) - 8):
        raise PiennError(f"{path}: truncated, or no safetensors file")
    try:
        header = json.loads(
            data[8 : 8 + length].decode("utf-8"), object_pairs_hook=lambda pairs: _unique(path, pairs)
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PiennError(f"{path}: header is not valid JSON ({type(error).__name__})") from None
    if not isinstance(header, dict):
        raise PiennError(f"{path}: header is not a list of tensors")
    body = data[8 + length :]
    return {
        name: _tensor(path, name, entry, body) for name, entry in header.items() if name != "__metadata__"
    }


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise PiennError(f"{path}: a tensor is described twice")
    return content


def _tensor(path: Path, name: str, entry: Any, body: bytes) -> Tensor:
    place = f"{path}: tensor {name[:100]!r}"
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, span = _DTYPES.get(str(entry.get("dtype"))), entry.get("shape"), entry.get("data_offsets")
    if dtype is None:
        raise PiennError(f"{place} has the unsupported element type {str(entry.get('dtype'))[:20]}")
    sizes = shape if isinstance(shape, list) and len(shape) <= 8 else None
    if sizes is None or not all(isinstance(size, int) and 0 <= size < 1 << 40 for size in sizes):
        raise PiennError(f"{place} has the impossible shape {str(shape)[:60]}")
    if not isinstance(span, list) or len(span) != 2 or not all(isinstance(offset, int) for offset in span):
        raise PiennError(f"{place} does not say where its data lie")
    first, last = span
    if not 0 <= first <= last <= len(body) or last - first != math.prod(sizes) * dtype.itemsize:
        raise PiennError(
            f"{place} claims shape {sizes}, which does not fit its bytes {first}..{last} of {len(body)}"
        )
    if first == last:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(bytearray(body[first:last]), dtype=dtype).reshape(sizes)
