"""The app `models` on every kind of device; `-m` chooses, see test_apps/README.md."""

from __future__ import annotations

import re

import pytest

CHIPS = ("esp32p4", "esp32s3")
TABLE = re.compile(r"^layer +op +result +kernel +MAC +cycles", re.MULTILINE)
TOTAL = re.compile(r"^\d+ cycles = \d+\.\d+ ms at \d+ MHz", re.MULTILINE)


def run_networks(dut, timeout: int) -> None:
    """All cases; each network prints one profile of its layers."""
    dut.run_all_single_board_cases(timeout=timeout)
    profiles = [case for case in dut.testsuite.testcases if "profile" in case.name]
    assert len(profiles) == len(dut.test_menu) / 2
    for case in profiles:
        assert TABLE.search(case.attrs["stdout"]) and TOTAL.search(case.attrs["stdout"]), case.name


@pytest.mark.host_test
@pytest.mark.parametrize("target", ["linux"], indirect=True)
def test_models_on_this_machine(dut) -> None:
    run_networks(dut, timeout=60)


@pytest.mark.simulator
@pytest.mark.parametrize("target", CHIPS, indirect=True)
def test_models_in_the_simulator(dut) -> None:
    run_networks(dut, timeout=60)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["esp32s3"], indirect=True)
def test_models_in_qemu(dut) -> None:
    run_networks(dut, timeout=300)


BOARDS = [pytest.param(chip, marks=getattr(pytest.mark, chip)) for chip in CHIPS]


@pytest.mark.parametrize("target", BOARDS, indirect=True)
def test_models_on_a_board(dut) -> None:
    run_networks(dut, timeout=60)
