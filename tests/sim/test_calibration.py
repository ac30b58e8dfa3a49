"""The published loops, rerun: `pienn sim calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pienn.sim import calibration
from pienn.sim.build import targets
from pienn.sim.commands import sim
from pienn.sim.loops import LOOPS

MICROLOOPS = [loop for loop in LOOPS if loop.is_microloop]


@pytest.mark.parametrize("loop", MICROLOOPS, ids=lambda loop: f"{loop.target} {loop.name}")
def test_every_published_microloop_is_within_five_percent(loop) -> None:
    row = calibration.run(loop)
    assert abs(row.error) <= calibration.TOLERANCE, row


def test_every_published_microloop_of_the_benchmark_is_there(shared: Path) -> None:
    published = json.loads((shared / "isa" / "p4_timing.json").read_text())["tops_bench"]["rows"]
    for column, target in ((3, "esp32p4"), (4, "esp32s3")):
        ours = sorted(loop.measured for loop in LOOPS if loop.target == target and loop.source == "tops")
        for row in published:
            assert any(abs(row[column] - value) < 1e-9 for value in ours), (target, row)


def test_a_slow_simulator_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slower:
        cycles = 1 << 30

    monkeypatch.setattr(calibration.Machine, "call", lambda *_, **__: Slower())
    result = CliRunner().invoke(sim, ["calibrate", "--target", "esp32p4"])
    assert result.exit_code == 1


def test_the_report_lists_every_row_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    result = CliRunner().invoke(sim, ["calibrate", "--json", str(path)])
    assert result.exit_code == 0
    rows = json.loads(path.read_text())
    assert len(rows) == sum(loop.target in targets() for loop in LOOPS)
    assert result.output.count("%") >= len(rows)
    assert {"name", "simulated", "measured", "error", "source", "model"} <= set(rows[0])
