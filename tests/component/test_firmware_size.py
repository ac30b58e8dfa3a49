"""What a network adds to a firmware besides its weights and its arena: the digits network on the ESP32-P4, -O2."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from firmware import digits_graph, include_flags, kernel_files, runtime_files

from pienn.codegen.generate import generate
from pienn.plan.plan import plan
from pienn.sim.compile_esp32p4 import build_program

LIMIT = 12 * 1024  # bytes
EMPTY = "int main(void) { return 0; }\n"
RUNS = """\
#include "digits.h"
static _Alignas(16) int8_t arena[DIGITS_ARENA_BYTES + PIENN_READ_AHEAD];
int main(void) {
    int8_t image[DIGITS_INPUT_BYTES] = {0}, scores[DIGITS_OUTPUT_BYTES];
    digits_run_in(arena, image, scores);
    return scores[0];
}
"""
PROFILES = RUNS.replace(
    "digits_run_in(arena, image, scores);",
    """
    static uint64_t cycles[DIGITS_CALLS];
    digits_run_profiled(arena, image, scores, cycles);
    pienn_profile_print(&digits_network, cycles, 1, pienn_clock_mhz());""",
)


def bytes_by_file(link_map: str) -> Counter[tuple[str, str]]:
    """Bytes of (file, code or constants) that the linker has kept, by its map."""
    kept = link_map.partition("Linker script and memory map")[2]
    pattern = r"^ (\.\S+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) (\S+)$"
    found: Counter[tuple[str, str]] = Counter()
    for section, size, path in re.findall(pattern, kept, re.MULTILINE):
        if section.startswith(".text"):
            found[path, "code"] += int(size, 16)
        elif section.startswith((".rodata", ".srodata", ".data.rel.ro")):
            found[path, "constants"] += int(size, 16)
    return found


def link(folder: Path, main: str, options: list[str], sources: list[Path]) -> Counter[tuple[str, str]]:
    (folder / "main.c").write_text(main)
    wanted = [
        "-O2",
        "-std=c11",
        "-save-temps=obj",
        f"-Wl,-Map={folder / 'map'}",
        *options,
        *include_flags(folder),
    ]
    build_program([folder / "main.c", *sources], wanted)
    return bytes_by_file((folder / "map").read_text())


def parts(found: Counter[tuple[str, str]], empty: Counter[tuple[str, str]]) -> dict[str, int]:
    """The bytes that a firmware has beyond one that does nothing, without weights, by where they come from."""
    sums: Counter[str] = Counter()
    for (path, kind), size in (found - empty).items():
        name = Path(path).name
        if name.startswith("lib"):
            sums[f"C library: {name.partition('(')[2].rstrip(')')}"] += size
        elif re.match(r"\d+-", name):
            sums[f"assembly: {name.partition('-')[2]}"] += size
        elif not name.endswith(("-main.o", "_weights.o")):
            sums[f"C: {name.rpartition('-')[2]}, {kind}"] += size
    return dict(sums)


@pytest.mark.parametrize(
    ("main", "options"), [(RUNS, []), (PROFILES, ["-DPIENN_PROFILE"])], ids=["plain", "profile"]
)
def test_digits_firmware_adds_less_than_the_limit(
    tmp_path: Path, checkout: Path, tool, main, options
) -> None:
    tool("riscv64-unknown-elf-gcc")
    planned = plan(digits_graph(), "esp32p4")
    files = [path for path in generate(planned, tmp_path, "digits") if path.suffix == ".c"]
    sources = [*files, *runtime_files("bare"), *kernel_files(planned, checkout / "src_asm/esp32p4")]
    empty = link(tmp_path, EMPTY, [], [])
    found = parts(link(tmp_path, main, ["-DPIENN_TARGET_P4", *options], sources), empty)
    total = sum(found.values())
    print(*(f"{size:6} {name}" for name, size in found.items()), f"{total:6} bytes of {LIMIT}", sep="\n")
    assert total > 4000  # all parts were found
    assert total <= LIMIT
