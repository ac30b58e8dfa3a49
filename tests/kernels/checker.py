"""Check the assembly kernels against the reference on random and extreme cases, on the simulator.

python tests/kernels/checker.py --target esp32p4 --revision 1 --kernel conv2d_s8 --seed 0 --count 1000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from checker_call import Checked, Chip, Network, machine_with, registers
from checker_draw import BUILD, draw_case

from pienn.errors import PiennError
from pienn.plan.chips import versions
from pienn.plan.issue_bound import issue_bound
from pienn.sim.machine import Machine, Result

CHIPS = (Chip("esp32p4", 3), Chip("esp32p4", 1), Chip("esp32s3"))


def chip_kernels(target: str) -> list[str]:
    """The kernels that have a version for the chip."""
    return [kernel for kernel, version in versions(target).items() if version != "ref"]


class CaseFailed(AssertionError):
    """A kernel failed in a case: the message says what, and how to run that case again."""


def rerun(chip: Chip, kernel: str, seed: int, number: int = 0) -> str:
    """The command that runs exactly one round of one case."""
    return (
        f"python tests/kernels/checker.py --target {chip.target} --revision {chip.revision} "
        f"--kernel {kernel} --seed {seed} --count 1" + (f" --round {number}" if number else "")
    )


@dataclass
class Tally:
    """What a run of many cases came to."""

    checked: int = 0
    """Calls."""
    cases: int = 0
    """Networks with such calls."""
    refused: Counter[str] = field(default_factory=Counter)
    """Calls that the planner gives to the reference, by reason."""
    empty: int = 0
    """Seeds whose fields make no valid network."""


def check_case(
    chip: Chip,
    kernel: str,
    seed: int,
    tally: Tally,
    run: Callable[..., Result] = Machine.call,
    rounds: range = range(1),
) -> list[Checked]:
    """The calls of one case that agreed; raises CaseFailed. `run` takes the place of Machine.call."""
    case = draw_case(kernel, seed)
    if case is None:
        tally.empty += 1
        return []
    machine = machine_with(chip, kernel)
    network = Network(case, chip)
    tally.refused.update(network.refused)
    checked: list[Checked] = []
    for number in rounds if network.has_checks else ():
        try:
            checked += network.check(number, run)
        except PiennError as error:
            fields = " ".join(f"{name}={value}" for name, value in case.fields.items())
            text = f"{error}\n  {fields}\n{registers(machine)}\n{rerun(chip, kernel, seed, number)}"
            raise CaseFailed(text) from error
    tally.checked += len(checked)
    tally.cases += bool(checked)
    return checked


def check(chip: Chip, kernel: str, seeds: Iterator[int] | range) -> Tally:
    """All cases of the seeds; raises CaseFailed at the first that fails."""
    tally = Tally()
    for seed in seeds:
        check_case(chip, kernel, seed, tally)
    return tally


def _bench_line(kernel: str, seed: int, done: Checked) -> str:
    call, cycles = done.call, done.result.cycles
    bound = issue_bound(call)
    reads = " ".join("x".join(map(str, view.shape)) for view in call.reads)
    rate = f"{call.macs / cycles:6.2f} MAC/cycle" if call.macs else " " * 16
    shape = "x".join(map(str, call.writes.shape))
    share = f"{100 * bound / cycles:4.0f} % of the issue bound"
    return f"{kernel:22} seed {seed:6} {cycles:9} cycles  {rate}  {share}  {reads} -> {shape}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=["esp32p4", "esp32s3"], help="one chip [default: both]")
    parser.add_argument("--revision", type=int, choices=[1, 3], help="of the ESP32-P4 [default: both]")
    parser.add_argument("--kernel", choices=sorted(BUILD), help="one kernel [default: all that the chip has]")
    parser.add_argument("--seed", type=int, default=0, help="first seed [default: 0]")
    parser.add_argument("--count", type=int, default=100, help="seeds per kernel [default: 100]")
    parser.add_argument("--round", type=int, default=0, help="first of the rounds of a seed [default: 0]")
    parser.add_argument("--rounds", type=int, default=1, help="inputs on which each case runs [default: 1]")
    parser.add_argument("--bench", action="store_true", help="print the cycles of every call")
    given = parser.parse_args(arguments)
    failures, total = 0, 0
    for chip in CHIPS:
        if given.target not in (None, chip.target):
            continue
        if given.revision not in (None, chip.revision) and chip.target == "esp32p4":
            continue
        for kernel in chip_kernels(chip.target):
            if given.kernel not in (None, kernel):
                continue
            tally, started = Tally(), time.monotonic()
            seeds = range(given.seed, given.seed + given.count)
            rounds = range(given.round, given.round + given.rounds)
            failed = _check_all(chip, kernel, seeds, rounds, tally, given.bench)
            failures, total = failures + failed, total + tally.checked
            name = f"{chip.target} revision {chip.revision}" if chip.target == "esp32p4" else chip.target
            print(
                f"{name:18} {kernel:20} {tally.checked:7} calls of {tally.cases} cases checked, {failed} failed, "
                f"{sum(tally.refused.values())} left to the reference, {tally.empty} seeds without a network, "
                f"{time.monotonic() - started:.1f} s",
                flush=True,
            )
            for reason, times in tally.refused.most_common() if given.count > 1 else []:
                print(f"    {times:6} x {reason}")
    print(f"{total} calls checked, {failures} failed")
    return 1 if failures else 0


def _check_all(chip: Chip, kernel: str, seeds: range, rounds: range, tally: Tally, bench: bool) -> int:
    """The number of failing cases; the first ones of each kernel are printed."""
    failures = 0
    for seed in seeds:
        try:
            done = check_case(chip, kernel, seed, tally, rounds=rounds)
        except CaseFailed as failure:
            failures += 1
            if failures <= 3:
                print(failure)
            continue
        for one in done if bench else []:
            print(_bench_line(kernel, seed, one))
    return failures


if __name__ == "__main__":
    sys.exit(main())
