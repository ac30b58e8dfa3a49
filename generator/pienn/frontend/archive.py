"""Zip archives of PyTorch, read without opening a pickle.

A model file is untrusted. An archive is vetted as a whole before anything in it is used: every member
stored uncompressed, names unique and harmless, sizes bounded, one common root folder. What vetting
refuses, it refuses in one line.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pienn.errors import PiennError

LARGEST_FILE = 1 << 30
LARGEST_JSON = 64 << 20
MOST_MEMBERS = 100_000
_NAME = re.compile(r"[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*")

_DTYPES: dict[int, torch.dtype] = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""The numbers of `torch._export.serde.schema.ScalarType` that a model of this package can need."""


class Archive:
    """The members of one vetted archive, by their path below the root folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise PiennError(f"{path}: {error.strerror or error}") from None
        if size > LARGEST_FILE:
            raise PiennError(f"{path}: {size} bytes, more than the {LARGEST_FILE} a model file may have")
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = self._vet(archive)
                self.files = {name: archive.read(info) for name, info in self._members.items()}
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise PiennError(f"{path}: not a complete zip archive ({error}); save the model again") from None

    def _vet(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        infos = archive.infolist()
        if len(infos) > MOST_MEMBERS:
            raise PiennError(f"{self.path}: {len(infos)} archive members, at most {MOST_MEMBERS} are read")
        total = 0
        members: dict[str, zipfile.ZipInfo] = {}
        roots: set[str] = set()
        for info in infos:
            name = info.filename
            if not _NAME.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
                raise PiennError(f"{self.path}: archive member with the unsafe name {name[:80]!r}")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise PiennError(
                    f"{self.path}: archive member {name} is compressed; torch stores members as they are"
                )
            if info.flag_bits & 1:
                raise PiennError(f"{self.path}: archive member {name} is encrypted")
            total += info.file_size
            if total > LARGEST_FILE:
                raise PiennError(f"{self.path}: archive members hold more than {LARGEST_FILE} bytes")
            root, _, rest = name.partition("/")
            roots.add(root)
            if rest in members:
                raise PiennError(f"{self.path}: archive member {name} occurs twice")
            members[rest] = info
        if len(roots) > 1:
            raise PiennError(
                f"{self.path}: archive with several root folders; save the model again with torch"
            )
        return members

    def json(self, name: str) -> Any:
        """The content of a JSON member."""
        data = self.files.get(name)
        if data is None:
            raise PiennError(f"{self.path}: archive member {name} is missing; save the model again")
        if len(data) > LARGEST_JSON:
            raise PiennError(f"{self.path}: {name} has {len(data)} bytes, more than {LARGEST_JSON}")
        try:
            return json.loads(data.decode("utf-8"), object_pairs_hook=self._unique)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise PiennError(f"{self.path}: {name} is not valid JSON ({type(error).__name__})") from None

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            raise PiennError(f"{self.path}: an object in its JSON has the same key twice")
        return content

    def tensors(self, config: str, folder: str) -> dict[str, Tensor]:
        """The raw tensors that a payload config lists, by name. Pickled payloads are refused."""
        entries = mapping(self.json(config), f"{self.path}: {config}").get("config")
        return {
            name: self._tensor(name, mapping(entry, f"{self.path}: {config}"), folder)
            for name, entry in mapping(entries, f"{self.path}: {config}").items()
        }

    def _tensor(self, name: str, entry: Mapping[str, Any], folder: str) -> Tensor:
        place = f"{self.path}: tensor {name[:100]!r}"
        if entry.get("use_pickle") is not False:
            raise PiennError(
                f"{place} is stored as a pickle, which runs code when opened; "
                "export the model with plain CPU tensors"
            )
        meta = mapping(entry.get("tensor_meta"), place)
        dtype = _DTYPES.get(meta.get("dtype", -1)) if isinstance(meta.get("dtype"), int) else None
        if dtype is None:
            raise PiennError(f"{place} has an element type that no operator here takes")
        sizes, strides = numbers(meta.get("sizes"), place), numbers(meta.get("strides"), place)
        (offset,) = numbers([meta.get("storage_offset")], place)
        path = entry.get("path_name")
        data = self.files.get(f"{folder}/{path}") if isinstance(path, str) else None
        if data is None:
            raise PiennError(f"{place}: its data are missing from the archive")
        held = len(data) // dtype.itemsize
        if len(sizes) != len(strides) or len(sizes) > 8 or math.prod(sizes) > max(held, 0):
            raise PiennError(
                f"{place} claims shape {list(sizes)[:8]}, more than the {held} elements in the file"
            )
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides))
        if math.prod(sizes) and last >= held:
            raise PiennError(f"{place} reaches beyond its {held} elements in the file")
        if math.prod(sizes) == 0:
            return torch.zeros(sizes, dtype=dtype)
        flat = torch.frombuffer(bytearray(data[: held * dtype.itemsize]), dtype=dtype)
        tensor = flat.as_strided(sizes, strides, offset).clone()
        check_finite(tensor, place)
        return tensor


def check_finite(tensor: Tensor, place: str) -> None:
    """Refuse NaN and infinity among weights."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise PiennError(f"{place} holds NaN or infinity; check the training")


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PiennError(f"{place}: malformed description, an object was expected")
    return value


def sequence(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise PiennError(f"{place}: malformed description, a list was expected")
    return value


def numbers(value: Any, place: str) -> tuple[int, ...]:
    """Plain sizes: `[{"as_int": n}, ...]` with 0 <= n < 2^40."""
    found = []
    for item in sequence(value, place):
        number = mapping(item, place).get("as_int")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 40:
            raise PiennError(f"{place}: a size that is not a plain number from 0 to 2^40")
        found.append(number)
    return tuple(found)
