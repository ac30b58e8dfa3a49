"""The firmware's profile: the simulator's table in form and figures, and no cost where it is not asked for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from component_project import Project, write_model
from firmware import (
    VERSIONS,
    build_on_host,
    c_array,
    digits_graph,
    include_flags,
    kernel_files,
    run_on_chip,
    runtime_files,
    sample_of,
)

from pienn.codegen.generate import generate
from pienn.commands.cycles import figures, print_table
from pienn.commands.simulated import Simulated
from pienn.errors import PiennError
from pienn.ir.builder import GraphBuilder
from pienn.plan.plan import plan

CHIPS = ["esp32p4", "esp32s3"]
PROGRAM = """\
#include <stdio.h>
#include <string.h>
#include "digits.h"
#include "sample.h"
static _Alignas(16) int8_t arena[DIGITS_ARENA_BYTES + PIENN_READ_AHEAD];
int main(void) {
    static uint64_t cycles[DIGITS_CALLS];
    static int8_t output[10];
    for (int run = 0; run < 2; run++) {
        digits_run_profiled(arena, input, output, cycles);
    }
    pienn_profile_print(&digits_network, cycles, 2, pienn_clock_mhz());
    return memcmp(output, expected, sizeof expected);
}
"""
# Prints the table of given cycles.
GIVEN = """\
#include "digits.h"
#include "cycles.h"
int main(void) {
    pienn_profile_print(&digits_network, cycles, RUNS, MHZ);
    return 0;
}
"""


def table_rows(text: str) -> list[list[str]]:
    """The cells of the table that pienn_profile_print writes, headings first: texts begin, numbers end with theirs."""
    lines = text.splitlines()[1:-1]
    headings = re.split(r" {2,}", lines[0])
    starts = [lines[0].index(heading) for heading in headings]
    ends = [start + len(heading) for start, heading in zip(starts, headings)]
    rows = []
    for line in lines:
        texts = [line[starts[i] : starts[i + 1]].strip() for i in range(3)]
        kernel = line[starts[3] :].split(" ")[0]
        numbers = [line.ljust(end)[:end] for end in ends[4:]]
        shares = ["% of 16" if cell.endswith("% of 16") else cell.rpartition(" ")[2] for cell in numbers]
        rows.append([*texts, kernel, *shares])
    return rows


def simulator_rows(text: str) -> list[list[str]]:
    """The cells of the simulator's table, without its last column, bytes moved."""
    rows = [re.split("[│┃]", line)[1:-2] for line in text.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("target", CHIPS)
def test_table_has_the_form_of_the_simulators(tmp_path: Path, tool, capsys, target: str) -> None:
    graph = digits_graph(channels=16)  # so many that neither chip leaves a call to the reference
    planned = plan(graph, target)
    simulated = Simulated(planned)
    simulated.run([sample_of(graph)[0][None]])
    print_table(simulated, 1)
    shown = capsys.readouterr().out
    expected = simulator_rows(shown)
    counted = [row["cycles"] for row in figures(simulated, 1)["layers"]]
    assert len(expected) == 1 + len(planned.calls)
    assert None not in counted

    files = [path for path in generate(planned, tmp_path, "digits") if path.suffix == ".c"]
    runs = 3
    text = f"static const uint64_t cycles[] = {{{', '.join(str(count * runs + 1) for count in counted)}}};\n"
    (tmp_path / "cycles.h").write_text(text)
    (tmp_path / "main.c").write_text(GIVEN)
    bodies = re.findall(r"extern const pienn_body (\w+);", "".join(path.read_text() for path in files))
    (tmp_path / "bodies.c").write_text("".join(f"const char {name}[1];\n" for name in bodies))
    sources = [
        tmp_path / "main.c",
        tmp_path / "bodies.c",
        *files,
        *runtime_files("host"),
        *kernel_files(planned),
    ]
    flags = ["-DPIENN_PROFILE", f"-DRUNS={runs}", "-DMHZ=360", *include_flags(tmp_path)]
    build_on_host(tool("gcc"), sources, [*flags, "-Wall", "-Wextra", "-Werror"], tmp_path / "program")
    printed = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[0] == f"digits, {target}, cycles of one run, mean of 3"
    assert table_rows(printed) == expected
    total, macs = sum(counted), planned.macs
    rate = f"{total} cycles = {total / 360000:.3f} ms at 360 MHz, {macs} MAC, {macs / total:.2f} MAC/cycle; constants "
    assert printed.splitlines()[-1].startswith(rate)
    assert printed.splitlines()[-1].endswith(f", arena {planned.arena.total}")


@pytest.mark.parametrize("target", CHIPS)
def test_firmware_on_the_chip_counts_what_the_simulator_counts(
    tmp_path: Path, checkout: Path, tool, target: str
) -> None:
    tool({"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}[target])
    graph = digits_graph()
    given, expected, _ = sample_of(graph)
    planned = plan(graph, target)
    simulated = Simulated(planned)
    simulated.run([given[None]])
    files = [path for path in generate(planned, tmp_path, "digits") if path.suffix == ".c"]
    (tmp_path / "sample.h").write_text(c_array("input", given) + c_array("expected", expected))
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [tmp_path / "main.c", *files, *runtime_files("bare")]
    sources += kernel_files(planned, checkout / "src_asm" / target)
    options = [f"-DPIENN_TARGET_{VERSIONS[target].upper()}", "-DPIENN_PROFILE", *include_flags(tmp_path)]
    printed = run_on_chip(target, sources, options, tmp_path / "program.elf")
    print(printed)
    rows = table_rows(printed)[1:]
    assert [row[0] for row in rows] == [call.op.layer for call in planned.calls]
    for row, layer in zip(rows, simulated.layers):
        assert row[3] == f"{layer.call.kernel.name}_{layer.call.version}"
        if layer.cycles is not None:
            # What the kernel takes, its call, and reading the counter.
            assert layer.cycles <= int(row[5]) <= layer.cycles + 100, row
    total = int(printed.splitlines()[-1].split()[0])
    assert total == sum(int(row[5]) for row in rows)


def test_ordinary_builds_have_neither_hooks_nor_tables(tmp_path: Path, tool) -> None:
    files = [path for path in generate(plan(digits_graph()), tmp_path, "digits") if path.name == "digits.c"]
    compiled = tmp_path / "digits.o"
    build_on_host(tool("gcc"), files, ["-c", *include_flags(tmp_path)], compiled)
    names = subprocess.run([tool("nm"), str(compiled)], capture_output=True, text=True, check=True).stdout
    assert "digits_run_in" in names
    assert not re.search(r"network|layers|pienn_watch|pienn_cycles|pienn_check", names)


def test_networks_may_be_named_like_what_generated_c_uses(tmp_path: Path, tool) -> None:
    builder = GraphBuilder("run")
    value = builder.input("run", (4,), -4, 0)
    table = builder.constant("layers", np.arange(-128, 128).astype(np.int8))
    for layer in ("watch", "cycles", "UNWATCHED", "difference", "DONE"):
        value = builder.lut(value, table, exponent=-4, zero_point=0, layer=layer)
    builder.output("WATCH_PARAMETER", value)
    graph = builder.build()
    for target, name in (("host", "layers"), ("esp32p4", "run"), ("esp32s3", "watch")):
        shadow = target != "host"
        (tmp_path / target).mkdir()
        for path in generate(plan(graph, target), tmp_path / target, name, shadow=shadow):
            if path.suffix == ".c":
                flags = [
                    "-c",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-DPIENN_PROFILE",
                    "-DPIENN_TAP",
                    "-DPIENN_CHECKS",
                ]
                build_on_host(tool("gcc"), [path], [*flags, *include_flags(tmp_path)], tmp_path / "out.o")
    with pytest.raises(PiennError, match="nor pienn"):
        generate(plan(graph), tmp_path, "pienn")


def test_plain_cmake_builds_profile_on_demand(component: Path, tmp_path: Path, tool) -> None:
    tool("ninja")
    write_model(tmp_path / "small.pie", 1)
    (tmp_path / "main.c").write_text(
        '#include "small.h"\nint main(void) {\n    uint64_t cycles[SMALL_CALLS] = {0};\n'
        "    int8_t x[SMALL_INPUT_BYTES] = {0}, y[SMALL_OUTPUT_BYTES];\n"
        "    void *arena = pienn_arena_alloc(SMALL_ARENA_BYTES, PIENN_MEMORY_INTERNAL);\n"
        "    small_run_profiled(arena, x, y, cycles);\n"
        "    pienn_profile_print(&small_network, cycles, 1, pienn_clock_mhz());\n    pienn_arena_free(arena);\n"
        "    small_run_profiled((char *)cycles + 1, x, y, cycles);\n    return 0;\n}\n"
    )
    (tmp_path / "CMakeLists.txt").write_text(
        f'cmake_minimum_required(VERSION 3.20)\nproject(user C)\nadd_subdirectory("{component}" pienn)\n'
        "add_executable(user main.c)\ntarget_add_model(user small.pie)\n"
    )
    project = Project(tmp_path, tool("cmake"), "Ninja")
    assert project.configure("-DPIENN_PROFILE=ON", "-DPIENN_CHECKS=ON").returncode == 0
    project.steps()
    done = subprocess.run([str(project.build_folder / "user")], capture_output=True, text=True)
    assert [row[0] for row in table_rows(done.stdout)] == ["layer", "stem", "classifier"]
    assert done.returncode != 0
    assert done.stderr.startswith("pienn: small: the arena is NULL or not aligned to 16 bytes")
