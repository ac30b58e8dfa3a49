"""Makes the graph file of a checkpoint, or takes it from the cache.

quantise_cached.py PLACE_FILE GRAPH_FILE DEPFILE SIDE_FILES MODEL ARGUMENT...

GRAPH_FILE is what `pienn export MODEL ARGUMENT...` writes. The cache is the folder that the environment's
PIENN_CACHE_DIR names, else $XDG_CACHE_HOME/pienn, else ~/.cache/pienn; it may be deleted at any time. An entry is
found by what went into it and by nothing else: the content of the model, of every file among the arguments and of
SIDE_FILES (separated by semicolons), the arguments, the versions of Python, torch, torchao and numpy, and the content
of the sources that the run before loaded, the generator's and the factory's. So it is found again from another build
folder or another checkout, and neither torch nor the generator are imported for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from run_pienn import GENERATOR, run_summarised

LARGEST_COUNT = 64  # graph files kept, the least recently used are removed
PACKAGES = ("torch", "torchao", "numpy")
FORMAT = "1"
PLACES = {"<": str(GENERATOR.parent), ">": os.getcwd()}


def cache_folder() -> Path:
    named = os.environ.get("PIENN_CACHE_DIR")
    return (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pienn"
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def joined(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def asked(arguments: Sequence[str], side_files: Sequence[Path]) -> str:
    """The name of what is asked for: arguments, with the content of those that are files, and versions."""
    parts = [FORMAT, sys.version]
    for package in PACKAGES:
        try:
            parts.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            parts.append("")
    for argument in arguments:
        path = Path(argument)
        parts.append(f"{path.name} {digest(path)}" if path.is_file() else argument)
    return joined([*parts, *(digest(path) for path in side_files if path.is_file())])


def portable(path: str) -> str:
    """A source by its place in the component or under the working folder: another checkout has it elsewhere."""
    for mark, folder in PLACES.items():
        if path.startswith(folder + os.sep):
            return mark + os.path.relpath(path, folder)
    return path


def absolute(source: str) -> str:
    folder = PLACES.get(source[:1])
    return source if folder is None else os.path.join(folder, source[1:])


def made_from(name: str, sources: Sequence[str]) -> str | None:
    """The name of the graph file that these sources make of what is asked for; None where one is gone."""
    paths = [Path(absolute(source)) for source in sources]
    if not all(path.is_file() for path in paths):
        return None
    return joined([name, *(f"{source} {digest(path)}" for source, path in zip(sources, paths))])


def write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def look_up(folder: Path, name: str) -> tuple[bytes, list[str]] | None:
    """The graph file and the sources that it was made from."""
    try:
        sources = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for entry in folder.glob(f"{made_from(name, sources) or 'none'}.*.pie"):
            data = entry.read_bytes()
            if hashlib.sha256(data).hexdigest()[:16] == entry.name.split(".")[1]:
                os.utime(entry)
                return data, sources
    except (OSError, ValueError):
        pass  # no entry, or one that cannot be read: as good as none
    return None


def store(folder: Path, name: str, sources: list[str], data: bytes) -> None:
    write_whole(folder / f"{name}.json", json.dumps(sources).encode())
    write_whole(folder / f"{made_from(name, sources)}.{hashlib.sha256(data).hexdigest()[:16]}.pie", data)
    for kind in ("*.pie", "*.json"):
        entries = sorted(folder.glob(kind), key=lambda path: path.stat().st_mtime, reverse=True)
        for entry in entries[LARGEST_COUNT:]:
            entry.unlink()


@contextlib.contextmanager
def one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Two targets with one model, built at the same time: the second waits, and finds the graph file of the first."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: both work
        yield
        return
    with (folder / f"{name[:2]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    place_file, graph_file, depfile = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    side_files = [Path(name) for name in sys.argv[4].split(";") if name]
    arguments = sys.argv[5:]
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"no cache of quantised models: {folder}: {error.strerror}; name another with PIENN_CACHE_DIR")
        return make(place_file, graph_file, depfile, side_files, arguments)[0]
    name = asked(arguments, side_files)
    with one_at_a_time(folder, name):
        found = look_up(folder, name)
        if found is None:
            status, sources = make(place_file, graph_file, depfile, side_files, arguments)
            if status == 0:
                store(folder, name, [portable(source) for source in sources], graph_file.read_bytes())
            return status
    data, sources = found
    write_depfile(depfile, graph_file, arguments, side_files, map(absolute, sources))
    write_whole(graph_file, data)
    print(f"{graph_file.name}: quantised before, from the cache {folder}")
    return 0


def make(
    place_file: str, graph_file: Path, depfile: Path, side_files: Sequence[Path], arguments: Sequence[str]
) -> tuple[int, list[str]]:
    """Quantise; returns the exit status and the sources that were loaded."""
    status = run_summarised(["export", *arguments, "-o", str(graph_file)], place_file)
    if status:
        return status, []
    from pienn.commands.depfile import loaded_sources

    sources = loaded_sources()
    write_depfile(depfile, graph_file, arguments, side_files, sources)
    return status, sources


def write_depfile(
    depfile: Path,
    graph_file: Path,
    arguments: Sequence[str],
    side_files: Sequence[Path],
    sources: Iterable[str],
) -> None:
    if str(GENERATOR) not in sys.path:
        sys.path.insert(0, str(GENERATOR))
    from pienn.commands.depfile import write_rule

    inputs = [path for path in (*map(Path, arguments), *side_files) if path.is_file()]
    write_rule(depfile, graph_file, [*map(str, inputs), *sources])


if __name__ == "__main__":
    sys.exit(main())
