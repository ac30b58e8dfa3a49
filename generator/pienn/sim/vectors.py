"""Runs golden vectors: instructions with the state before and after (formats: see docs/simulator.md).

Four kinds of records are told apart by their keys: sequences of the ESP32-P4 checked on a board (`bytes_2p1`), single
instructions of the ESP32-P4 from a model (`w2p1`), texts of the ESP32-P4 with their bytes (`text`), single instructions
of the ESP32-S3 (`bytes` and `ops`). Every record counts once, also where it is run on both revisions of the chip.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pienn.errors import PiennError


@dataclass(frozen=True)
class Outcome:
    """What came of one record: `mnemonic`, and `differences` in words (empty: passed); None: skipped."""

    mnemonic: str
    differences: list[str] | None
    identity: str


@dataclass
class Report:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        if outcome.differences is None:
            self.skipped += 1
        elif outcome.differences:
            self.failed += 1
            self.failures[outcome.mnemonic] += 1
            text = f"{outcome.identity}: {'; '.join(outcome.differences)}"
            self.examples.setdefault(outcome.mnemonic, text)
        else:
            self.passed += 1

    def lines(self) -> Iterator[str]:
        """The report as text; the last line is `N passed, N failed, N skipped`."""
        for mnemonic, count in sorted(self.failures.items()):
            yield f"{mnemonic}: {count} failed, first: {self.examples[mnemonic]}"
        yield f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def as_json(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "failures": dict(self.failures),
            "examples": self.examples,
        }


def run_files(paths: Iterable[Path]) -> Report:
    """Run every record of the files. PiennError names file and line of a record that cannot be read."""
    report = Report()
    runners: dict[str, Callable[[dict], Outcome]] = {}
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise PiennError(f"{path}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                kind = kind_of(record)
                if kind not in runners:
                    runners[kind] = runner_of(kind)
                report.add(runners[kind](record))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                message = f"{path}:{number}: not a vector record of a known format ({type(error).__name__}: {error})"
                raise PiennError(message) from error
    return report


def kind_of(record: dict) -> str:
    """`p4_sequence`, `p4_single`, `p4_text` or `s3_single`."""
    if "bytes_2p1" in record:
        return "p4_sequence"
    if "w2p1" in record or "w2p2" in record:
        return "p4_single"
    if "bytes" in record and "ops" in record:
        return "s3_single"
    if "text" in record and "isa" in record:
        return "p4_text"
    raise ValueError(f"keys {sorted(record)[:6]}")


def runner_of(kind: str) -> Callable[[dict], Outcome]:
    if kind == "s3_single":
        from pienn.sim.vectors_esp32s3 import run_single

        return run_single
    from pienn.sim import vectors_esp32p4

    return {
        "p4_sequence": vectors_esp32p4.run_sequence,
        "p4_single": vectors_esp32p4.run_single,
        "p4_text": vectors_esp32p4.run_text,
    }[kind]
