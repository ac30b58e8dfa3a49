"""The chips' kernels against the reference; deliberately broken ones are in test_broken.py."""

from __future__ import annotations

import checker_call
import numpy as np
import pytest
from checker import CHIPS, Tally, check, check_case, chip_kernels, main, rerun
from checker_call import Chip, Network
from checker_draw import BUILD, CORNER_EVERY, DATA, draw_case
from disturbance import call_disturbed_everywhere, disturbed_call

from pienn.sim.machine import Machine

CALLS = [(chip, kernel) for chip in CHIPS for kernel in chip_kernels(chip.target)]


def name_of(value: object) -> str:
    return f"{value.target}.{value.revision}" if isinstance(value, Chip) else str(value)


@pytest.mark.parametrize(("chip", "kernel"), CALLS, ids=name_of)
def test_kernels_agree_with_the_reference(chip: Chip, kernel: str) -> None:
    """In every byte of the result's buffer; registers, stack and reads beyond operands are checked too."""
    seeds = range(CORNER_EVERY * len(DATA["kernels"][kernel]["corners"]))  # each corner once
    tally = check(chip, kernel, seeds)
    print(f"{tally.checked} calls, {dict(tally.refused)}")
    assert tally.checked >= len(seeds) // 4


@pytest.mark.parametrize("target", ["esp32p4", "esp32s3"])
def test_every_kernel_of_a_chip_has_cases(target: str) -> None:
    assert set(chip_kernels(target)) <= set(BUILD)
    assert set(DATA["kernels"]) == set(BUILD)


def test_a_seed_is_one_case() -> None:
    first, second = (draw_case("conv2d_s8", 17) for _ in range(2))
    assert first is not None and second is not None
    assert first.fields == second.fields
    for a, b in zip(first.inputs, second.inputs):
        np.testing.assert_array_equal(a, b)


def test_a_failure_names_the_command_that_repeats_it(monkeypatch, capsys) -> None:
    real = checker_call._run_reference

    def wrong(step, memory):
        real(step, memory)
        memory[step.call.writes.storage][-1] ^= 1

    monkeypatch.setattr(checker_call, "_run_reference", wrong)
    assert main(
        ["--target", "esp32p4", "--revision", "3", "--kernel", "add_s8", "--seed", "3", "--count", "1"]
    )
    printed = capsys.readouterr().out
    assert rerun(Chip("esp32p4"), "add_s8", 3) in printed
    assert "bytes differ" in printed and "q[0]" in printed and "shape=" in printed


@pytest.mark.parametrize("chip", CHIPS, ids=name_of)
def test_results_and_cycles_do_not_depend_on_the_noise_in_registers(chip: Chip) -> None:
    poisoned, results = [], []

    def run(machine: Machine, symbol, *arguments, seed, before, **options):
        def look(machine: Machine) -> None:
            before(machine)
            poisoned.append(machine.state("q").tobytes())

        for poison in (seed, seed + 1):
            result = machine.call(symbol, *arguments, seed=poison, before=look, **options)
            results.append((result.cycles, machine.read(arguments[-2], 16)))
        return result

    for seed in range(6):
        case = draw_case("conv2d_s8", seed)
        assert case is not None
        Network(case, chip).check(run=run)
    assert len(set(poisoned)) == len(poisoned)
    assert results[::2] == results[1::2]


@pytest.mark.parametrize("kernel", chip_kernels("esp32p4"))
def test_another_tasks_rounding_does_not_reach_results_of_revision_1(kernel: str) -> None:
    """CFG is not saved over a task switch there: whenever it changes, the result must be the same."""
    run = disturbed_call(7)
    for seed in range(24):
        case = draw_case(kernel, seed)
        if case is None or case.fields.get("in_place", "none") != "none":
            continue  # run twice, it would read its own result
        check_case(Chip("esp32p4", 1), kernel, seed, Tally(), run)
    assert run.times


@pytest.mark.parametrize("revision", [1, 3])
@pytest.mark.parametrize("kernel", chip_kernels("esp32p4"))
def test_a_foreign_cfg_after_any_instruction_changes_nothing(kernel: str, revision: int) -> None:
    """Every place of one short call of each kernel; longer calls are disturbed at one place, in the test above."""
    run = call_disturbed_everywhere(longest=1500)
    for seed in range(36):
        case = draw_case(kernel, seed)
        if case is None or case.fields.get("in_place", "none") != "none":
            continue  # run twice, it would read its own result
        check_case(Chip("esp32p4", revision), kernel, seed, Tally(), run)
        if run.times:  # pyright: ignore[reportFunctionMemberAccess]
            return
    pytest.fail("no case is short enough")
