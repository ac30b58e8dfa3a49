"""Compare kernels with the interpreter, call by call. Run one call again with

python tests/reference/reference_check.py --kernel conv2d_s8 --seed 17
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from reference_cases import CASES, Case
from reference_draw import Draw
from reference_library import Library, compile_library

GUARD = 64  # bytes around every buffer


def difference(library: Library, case: Case, seed: int) -> str | None:
    """Run the case twice, with different bytes around the operands; what is wrong, or None."""
    expected = case.expected()
    for run in (0, 1):
        rng = np.random.default_rng((seed, run))
        places = (*case.reads, case.writes)
        buffers = [rng.integers(-128, 128, place.size + 2 * GUARD).astype(np.int8) for place in places]
        for buffer, place, operand in zip(buffers, case.reads, case.operands):
            buffer[GUARD + place.base + place.offsets] = operand
        if case.in_place is not None:
            buffers[-1] = buffers[case.in_place]
        before = [buffer.copy() for buffer in buffers]
        addresses = [buffer.ctypes.data + GUARD + place.base for buffer, place in zip(buffers, places)]
        library.call(case.kernel, addresses, case.fields)
        positions = GUARD + case.writes.base + case.writes.offsets
        result = buffers[-1][positions]
        wrong = np.argwhere(result != expected)
        if len(wrong):
            index = tuple(int(i) for i in wrong[0])
            return (
                f"{len(wrong)} of {result.size} differ, first {index}: {result[index]} != {expected[index]}"
            )
        before[-1][positions] = expected
        if case.in_place is not None:
            before[case.in_place] = before[-1]
        for number, (now, then) in enumerate(zip(buffers, before)):
            touched = np.flatnonzero(now != then)
            if len(touched):
                return f"buffer {number}: byte {int(touched[0]) - GUARD} is no element of y but was written"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare kernels with the interpreter, call by call.")
    parser.add_argument("--kernel", choices=sorted(CASES), action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--library", type=Path, help="a compiled library instead of building one")
    parser.add_argument(
        "--sanitize",
        action="store_true",
        help="build with sanitizers (preload libasan)",
    )
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        path = options.library or compile_library(Path(folder) / "reference.so")
        library = Library(path)
        for kernel in options.kernel or CASES:
            for seed in range(options.seed, options.seed + options.count):
                found = difference(library, CASES[kernel](Draw(seed)), seed)
                failures += found is not None
                if found or options.count == 1:
                    print(f"{kernel} seed {seed}: {found or 'equal'}")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
