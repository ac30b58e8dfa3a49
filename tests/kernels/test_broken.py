"""The checker catches broken kernels: each defect is a change of a source, assembled anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broken.defects import DEFECTS, Defect
from checker import CaseFailed, Tally, check_case
from checker_call import Chip, machine_with
from disturbance import disturbed_call

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
