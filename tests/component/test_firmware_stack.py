"""How deep a network goes into the stack of the task that runs it; docs/firmware.md gives the bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware import VERSIONS, digits_graph, include_flags, kernel_files, run_on_chip, runtime_files

from pienn.codegen.generate import generate
from pienn.plan.plan import plan

BOUND = 512  # bytes, by docs/firmware.md
# Paints the stack below main, runs the network there, and counts what is still painted.
PROGRAM = """\
#include <stdio.h>
#include "digits.h"
#define AREA 4096
static _Alignas(16) int8_t arena[DIGITS_ARENA_BYTES + PIENN_READ_AHEAD];
static int8_t input[DIGITS_INPUT_BYTES], output[DIGITS_OUTPUT_BYTES];
__attribute__((noinline)) static void paint(void) {
    volatile uint8_t area[AREA];
    for (int i = 0; i < AREA; i++) {
        area[i] = 0xa5;
    }
}
__attribute__((noinline)) static int painted(void) {
    volatile uint8_t area[AREA];
    int count = 0;
    while (count < AREA && area[count] == 0xa5) {
        count++;
    }
    return count;
}
__attribute__((noinline)) static void run(void) {
#ifdef SHADOW
    pienn_difference difference;
    (void)digits_run_shadow(arena, input, output, &difference);
#else
    digits_run_in(arena, input, output);
#endif
}
int main(void) {
    paint();
    const int before = painted();
    paint();
    run();
    printf("%d %d\\n", before, AREA - painted());
    return 0;
}
"""


@pytest.mark.parametrize(("target", "shadow"), [("esp32p4", False), ("esp32s3", False), ("esp32p4", True)])
def test_stack_stays_below_the_bound(tmp_path: Path, checkout: Path, tool, target: str, shadow: bool) -> None:
    tool({"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}[target])
    planned = plan(digits_graph(), target)
    files = [path for path in generate(planned, tmp_path, "digits", shadow=shadow) if path.suffix == ".c"]
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [tmp_path / "main.c", *files, *runtime_files("bare")]
    sources += kernel_files(planned, checkout / "src_asm" / target)
    options = [f"-DPIENN_TARGET_{VERSIONS[target].upper()}", *(["-DSHADOW"] if shadow else [])]
    printed = run_on_chip(target, sources, [*options, *include_flags(tmp_path)], tmp_path / "program.elf")
    before, used = map(int, printed.split())
    print(f"{target}: {used} bytes")
    assert before == 4096
    assert 64 < used <= BOUND
