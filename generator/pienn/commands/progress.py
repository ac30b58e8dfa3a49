"""Progress of long work, on stderr so that results stay clean; silent where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
console = Console(stderr=True)


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items under a progress bar."""
    if not sys.stderr.isatty():
        yield from items
        return
    yield from track(items, description=what, total=total, console=console, transient=True)
