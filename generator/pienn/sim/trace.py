"""Writes a trace: each instruction with its address, text and the registers that it changed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np

from pienn.errors import PiennError
from pienn.isa.table import load
from pienn.sim.native import Check, Stop

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

UNCHECKED = Check(0)


class Tracer:
    """Steps a machine one instruction at a time; a context manager that owns the trace file."""

    def __init__(self, machine: Machine, path: Path | None) -> None:
        self.machine = machine
        self.isa = load(machine.target)
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
            text = self.text(pc)
            reason = self.machine.run(1, checks)
            if self._file:
                changes = " ".join(f"{name}={value}" for name, value in self.changes(before))
                self._file.write(f"{self.machine.cycles:>10} {pc:08x} {text:<44} {changes}\n")
            if reason != Stop.LIMIT:
                return reason
        return Stop.LIMIT

    def text(self, pc: int) -> str:
        """The instruction at an address in assembly-like form."""
        try:
            data = self.machine.read(pc, 4)
        except PiennError:
            try:
                data = self.machine.read(pc, 2)
            except PiennError:
                return "?"
        revision = self.machine.revision if self.machine.target == "esp32p4" else None
        found = self.isa.decode(data, revision=revision, pc=pc)
        if found is None:
            return "?"
        instruction, values = found
        words: list[str] = []
        for operand in instruction.operands_at(revision):
            value = values[operand.name]
            if operand.kind == "pcrel":
                words.append(f"{pc + value & 0xFFFFFFFF:#x}")
            else:
                words.append(f"{operand.kind}{value}" if operand.is_register else str(value))
        return f"{instruction.mnemonic} {', '.join(words)}".strip()

    def changes(self, before: dict[str, np.ndarray]) -> list[tuple[str, str]]:
        """Parts of the register state that differ from a snapshot, with their new values in hexadecimal."""
        found: list[tuple[str, str]] = []
        for name, old in before.items():
            new = self.machine.state(name)
            if np.array_equal(old, new):
                continue
            for index in range(len(new)):
                if not np.array_equal(old[index], new[index]):
                    value = new[index]
                    text = f"{int(value):x}" if np.ndim(value) == 0 else value.tobytes()[::-1].hex()
                    found.append((f"{name}{index}" if len(new) > 1 else name, text))
        return found
