"""Assembled files, kept between runs in the per-user cache: our assembler takes a second for a large kernel."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from pienn.isa import assembler
from pienn.isa.assembler import assemble
from pienn.isa.object import Object
from pienn.sim.build import cache_folder

DEPTH = 20_000  # of references between the parts of an object


def assembled(path: Path, target: str, revision: int = 3) -> Object:
    """The file assembled for a chip; files it includes lie in its folder or in the one above."""
    folders = (path.parent, path.parent.parent)
    sources = [path, *(other for folder in folders for other in _files(folder) if other != path)]
    words = [f"{path.resolve()} {target} {revision}".encode(), *(source.read_bytes() for source in sources)]
    return kept(words, lambda: assemble(path, target, revision=revision, include=[path.parent]))


def kept(words: Iterable[bytes], make: Callable[[], Object]) -> Object:
    """The object that `make` has made before from the same words and with the same assembler, or makes now."""
    digest = hashlib.sha256(_assembler_key().encode())
    for word in words:
        digest.update(word)
    path = cache_folder() / f"assembled_{digest.hexdigest()[:32]}.pickle"
    try:
        return _load(path)
    except (OSError, EOFError, pickle.UnpicklingError, AttributeError, ImportError):
        pass
    result = make()
    _keep(path, result)
    return result


def _files(folder: Path) -> list[Path]:
    """What an assembly file of the folder may include."""
    return sorted(one for one in folder.iterdir() if one.suffix in (".inc", ".h"))


def _load(path: Path) -> Object:
    data = path.read_bytes()
    collects = gc.isenabled()
    gc.disable()  # it would look again and again at hundreds of thousands of parts, none of which is garbage
    try:
        return pickle.loads(data)
    finally:
        if collects:
            gc.enable()


def _keep(path: Path, result: Object) -> None:
    """Put the object into the cache, whole or not at all; a cache that cannot be written is no error."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        half.write_bytes(pickle.dumps(result))
        half.replace(path)
    except (OSError, RecursionError):
        pass
    finally:
        sys.setrecursionlimit(limit)


@cache
def _assembler_key() -> str:
    """Changes with the assembler and its tables."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(Path(assembler.__file__).parent.iterdir()):
        if path.suffix in (".py", ".isa"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
