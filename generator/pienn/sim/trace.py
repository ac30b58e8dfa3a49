"""Writes a trace: each instruction with its address, text and the registers that it changed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np

from pienn.errors import PiennError
from pienn.sim.changes import changed_places, register_names
from pienn.sim.explain import text_at
from pienn.sim.native import Check, Stop

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

UNCHECKED = Check(0)


class Tracer:
    """Steps a machine one instruction at a time; a context manager that owns the trace file."""

    def __init__(self, machine: Machine, path: Path | None) -> None:
        self.machine = machine
        self._names = register_names(machine)
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Tracer:
        if self._path:
            try:
                self._file = self._path.open("w", encoding="utf-8")
            except OSError as error:
                raise PiennError(f"{self._path}: cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def run(self, max_instructions: int, checks: Check = UNCHECKED) -> Stop:
        """As Machine.run, one line per instruction."""
        for _ in range(max_instructions):
            pc, before = self.machine.pc, self.machine.snapshot()
            text = text_at(self.machine, pc)
            reason = self.machine.run(1, checks)
            if self._file:
                changes = " ".join(f"{name}={value}" for name, value in self.changes(before))
                self._file.write(f"{self.machine.cycles:>10} {pc:08x} {text:<44} {changes}\n")
            if reason != Stop.LIMIT:
                return reason
        return Stop.LIMIT

    def changes(self, before: dict[str, np.ndarray]) -> list[tuple[str, str]]:
        """Registers that differ from a snapshot, with their new values in hexadecimal."""
        found: list[tuple[str, str]] = []
        after = self.machine.snapshot()
        for part, index in changed_places(before, after):
            value = after[part][index]
            text = f"{int(value):x}" if np.ndim(value) == 0 else value.tobytes()[::-1].hex()
            found.append((self._names[part, index], text))
        return found
