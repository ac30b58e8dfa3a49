"""The firmware on a board or on this machine, with what `train.py` has written; README.md says how to run it."""

from __future__ import annotations

import pytest

CHIPS = ("esp32p4", "esp32s3")


@pytest.mark.host_test
@pytest.mark.parametrize("target", ["linux"], indirect=True)
def test_built_in_pictures_are_recognised_on_this_machine(dut) -> None:
    dut.expect_exact("3 of 3 recognised", timeout=30)


@pytest.mark.parametrize(
    "target", [pytest.param(chip, marks=getattr(pytest.mark, chip)) for chip in CHIPS], indirect=True
)
def test_built_in_pictures_are_recognised_on_a_board(dut) -> None:
    dut.expect_exact("3 of 3 recognised", timeout=30)
