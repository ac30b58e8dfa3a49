"""The app `kernels` on every kind of device; `-m` chooses, see test_apps/README.md."""

from __future__ import annotations

import pytest

from pienn.plan.chips import versions

CHIPS = ("esp32p4", "esp32s3")


def run_every_kernel(dut, chip: str, timeout: int) -> None:
    """All cases; there is one of every kernel of the chip."""
    dut.run_all_single_board_cases(timeout=timeout)
    wanted = {kernel for kernel, version in versions(chip).items() if version != "ref"}
    assert {group for case in dut.test_menu for group in case.groups} == wanted


@pytest.mark.host_test
@pytest.mark.parametrize("target", ["linux"], indirect=True)
def test_kernels_on_this_machine(dut) -> None:
    run_every_kernel(dut, "esp32p4", timeout=60)  # its calls, computed by the reference


@pytest.mark.simulator
@pytest.mark.parametrize("target", CHIPS, indirect=True)
def test_kernels_in_the_simulator(dut, target: str) -> None:
    run_every_kernel(dut, target, timeout=60)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["esp32s3"], indirect=True)
def test_kernels_in_qemu(dut, target: str) -> None:
    run_every_kernel(dut, target, timeout=300)


BOARDS = [pytest.param(chip, marks=getattr(pytest.mark, chip)) for chip in CHIPS]


@pytest.mark.parametrize("target", BOARDS, indirect=True)
def test_kernels_on_a_board(dut, target: str) -> None:
    run_every_kernel(dut, target, timeout=60)
