"""The generated C is read by people: no call takes a slower way without saying why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from random_graphs import random_graph

from pienn.codegen.generate import generate
from pienn.plan.plan import plan


@pytest.mark.parametrize("target", ["esp32p4", "esp32s3"])
def test_calls_of_a_chip_that_stay_with_the_reference_say_why(target: str, tmp_path: Path) -> None:
    for seed in range(4):
        generate(plan(random_graph(seed, 8), target), tmp_path, "net")
        calls = re.findall(r"/\* (.*) \*/\n +(pienn_\w+)\(", (tmp_path / "net.c").read_text())
        assert calls
        for comment, function in calls:
            assert function.endswith("_ref") == ("reference: " in comment), (comment, function)
