"""The ESP32-P4's instructions against the published golden vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pienn.errors import PiennError
from pienn.isa.table import load
from pienn.sim.commands import sim
from pienn.sim.native import CHIPS, core
from pienn.sim.vectors import run_files


@pytest.mark.parametrize("name", ["p4_pie.jsonl", "p4_pie_model.jsonl", "p4_mc.jsonl"])
def test_every_trusted_record_passes(shared: Path, name: str) -> None:
    path = shared / "vectors" / name
    report = run_files([path])
    assert list(report.lines())[:-1] == []
    assert report.passed > 200


def test_every_instruction_of_the_table_has_a_meaning() -> None:
    chip = CHIPS["esp32p4"]
    missing = [
        core().sim_mnemonic(chip, number).decode()
        for number in range(1, core().sim_operations(chip))
        if not core().sim_operation_implemented(chip, number)
    ]
    assert missing == []
    assert core().sim_operations(chip) == len(load("esp32p4").instructions) + 1


def test_a_wrong_expectation_is_reported_by_mnemonic(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "vectors" / "p4_pie_model.jsonl").read_text().splitlines()
    record = next(r for r in map(json.loads, lines) if r["mn"] == "esp.vadd.s8" and "q" in str(r["after"]))
    name = next(iter(record["after"]))
    record["after"][name] = "00112233445566778899aabbccddeeff"
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(record) + "\n")
    result = CliRunner().invoke(sim, ["vectors", str(path), "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
    assert "esp.vadd.s8: 1 failed" in result.output
    assert json.loads((tmp_path / "out.json").read_text())["failures"] == {"esp.vadd.s8": 1}


def test_untrusted_records_are_skipped(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "vectors" / "p4_pie_model.jsonl").read_text().splitlines()
    record = next(r for r in map(json.loads, lines) if not r["conf"].startswith(("hw", "base-hw")))
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(record) + "\n")
    assert list(run_files([path]).lines()) == ["0 passed, 0 failed, 1 skipped"]


@pytest.mark.parametrize("text", ["{}", "not json", '{"w2p1": "06"}', '{"bytes_2p1": 5}'])
def test_a_file_of_another_format_is_one_line_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text("\n" + text + "\n")
    with pytest.raises(PiennError, match=r"other\.jsonl:2: "):
        run_files([path])
