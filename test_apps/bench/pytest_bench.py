"""The app `bench` on every kind of device; `-m` chooses, see test_apps/README.md."""

from __future__ import annotations

import pytest

CHIPS = ("esp32p4", "esp32s3")


@pytest.mark.host_test
@pytest.mark.parametrize("target", ["linux"], indirect=True)
def test_bench_on_this_machine(dut) -> None:
    dut.run_all_single_board_cases(timeout=60)


@pytest.mark.simulator
@pytest.mark.parametrize("target", CHIPS, indirect=True)
def test_bench_in_the_simulator(dut) -> None:
    dut.run_all_single_board_cases(timeout=60)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["esp32s3"], indirect=True)
def test_bench_in_qemu(dut) -> None:
    dut.run_all_single_board_cases(timeout=300)


BOARDS = [pytest.param(chip, marks=getattr(pytest.mark, chip)) for chip in CHIPS]


@pytest.mark.parametrize("target", BOARDS, indirect=True)
def test_bench_on_a_board(dut) -> None:
    dut.run_all_single_board_cases(timeout=60)
