"""The checker catches broken kernels: each defect is a change of a source, assembled anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broken.defects import DEFECTS, Defect
from checker import CaseFailed, Tally, check_case
from checker_call import Chip, machine_with
from checker_draw import draw_case
from disturbance import call_disturbed_everywhere, disturbed_call

SEEDS = range(60)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.target}, {defect.name}")
def test_defects_are_caught(defect: Defect, tmp_path: Path) -> None:
    chip = Chip(defect.target, defect.revision, defect.sources(tmp_path))
    machine_with(chip, defect.kernel)  # it assembles
    run: dict[str, Callable] = {"run": disturbed_call(0)} if defect.disturbed else {}
    with pytest.raises(CaseFailed) as failure:
        for seed in SEEDS:
            check_case(chip, defect.kernel, seed, Tally(), **run)
    assert defect.said in str(failure.value)


@pytest.mark.parametrize("defect", [one for one in DEFECTS if one.disturbed], ids=lambda defect: defect.name)
def test_a_cfg_that_is_not_checked_shows_in_short_calls(defect: Defect, tmp_path: Path) -> None:
    """A foreign CFG after every instruction in turn: the check of every place is one that can fail."""
    chip = Chip(defect.target, defect.revision, defect.sources(tmp_path))
    run = call_disturbed_everywhere(longest=1500)
    with pytest.raises(AssertionError, match="CFG 0x"):
        for seed in SEEDS:
            case = draw_case(defect.kernel, seed)
            if case is not None and case.fields.get("in_place", "none") == "none":
                check_case(chip, defect.kernel, seed, Tally(), run)
