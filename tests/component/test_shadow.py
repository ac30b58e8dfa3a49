"""Assembly checked against the reference while the network runs: a kernel that is broken on purpose is named."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from component_project import write_model
from firmware import (
    VERSIONS,
    build_on_host,
    c_array,
    digits_graph,
    include_flags,
    kernel_files,
    own_kernels,
    run_on_chip,
    runtime_files,
    sample_of,
)
from random_graphs import random_graph, random_inputs

from pienn.codegen.generate import generate
from pienn.codegen.packed import pack
from pienn.codegen.parameters import shadow_arrays
from pienn.commands.compile import compile
from pienn.errors import PiennError
from pienn.ir import interpreter
from pienn.ir.graph import Graph
from pienn.plan.constants import Budget
from pienn.plan.memory_costs import CacheLevel, Memories, MemoryCosts
from pienn.plan.plan import Plan, plan

CHIPS = ["esp32p4", "esp32s3"]
# Flash that is so slow behind so small a cache that constants are copied to SRAM wherever they can be.
SLOW = Memories(
    "slow", {"SRAM": MemoryCosts("SRAM"), "flash": MemoryCosts("flash", (CacheLevel(64, 16, 4, 5000.0),))}
)
# kernel -> changes one element of its result; the element by axis, negative from the end, None for a border
DEFECTS = {
    "conv2d_s8": ("y[pienn_offset(&p->y, 1, 2, p->y.channels - 1)] ^= 1;", (1, 2, -1)),
    "depthwise_conv2d_s8": ("y[pienn_offset(&p->y, p->y.height - 1, 0, 3)] ^= 1;", (-1, 0, 3)),
    "add_s8": ("y[p->shape[3] - 1] ^= 1;", (0, -1, -1)),
    "max_pool2d_s8": ("y[pienn_offset(&p->y, 0, 3, 0)] ^= 1;", (0, 3, 0)),
    "fully_connected_s8": ("y[p->columns - 1] ^= 1;", (-1,)),
    "halo_s8": ("y[3] ^= 1;", None),
}
PROGRAM = """\
#include <stdio.h>
#include "digits.h"
#include "sample.h"
static _Alignas(16) int8_t arena[DIGITS_ARENA_BYTES + PIENN_READ_AHEAD];
#ifdef STAND_INS
const char *broken = "";
#endif
int main(int count, char **arguments) {
    static int8_t output[10];
    pienn_difference difference;
#ifdef STAND_INS
    broken = arguments[count - 1];
#else
    (void)count, (void)arguments;
#endif
    printf("%s\\n", pienn_err_to_name(digits_run_shadow(arena, input, output, &difference)));
    pienn_report_difference(&difference);
    for (int i = 0; i < 10; i++) {
        printf(" %d" + !i, output[i]);
    }
    puts("");
    digits_run(input, output); /* reports as well */
    return 0;
}
"""


def stand_ins(target: str, planned: Plan) -> str:
    """C in the place of the assembly that a plan calls: the reference, wrong in the kernel that `broken` names."""
    version = VERSIONS[target]
    text = '#include <string.h>\n#include "pienn/layers.h"\nextern const char *broken;\n'
    called = {call.kernel.name for call in planned.calls}
    for kernel in own_kernels(target):
        if kernel.name not in called:
            continue
        text += (
            f"void pienn_{kernel.name}_{version} PIENN_{kernel.operands}_PARAMETERS({kernel.name}) {{\n"
            f"    pienn_{kernel.name}_ref PIENN_{kernel.operands}_ARGUMENTS;\n"
        )
        if kernel.name in DEFECTS:
            text += f'    if (!strcmp(broken, "{kernel.name}")) {DEFECTS[kernel.name][0]}\n'
        text += "}\n"
    return text


def body_stand_ins(text: str) -> str:
    """The addresses that generated C takes of machine code."""
    return "".join(f"const char {name}[1];\n" for name in re.findall(r"extern const pienn_body (\w+);", text))


@pytest.fixture(scope="module", params=CHIPS)
def host_build(request, tool, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The network's shadow build on this machine, with C in the place of assembly: (chip, program)."""
    graph, target, folder = digits_graph(), request.param, tmp_path_factory.mktemp("shadow")
    planned = plan(graph, target)
    files = [path for path in generate(planned, folder, "digits", shadow=True) if path.suffix == ".c"]
    (folder / "sample.h").write_text(c_array("input", sample_of(graph)[0]))
    (folder / "main.c").write_text(PROGRAM)
    (folder / "stand_ins.c").write_text(stand_ins(target, planned))
    (folder / "bodies.c").write_text("".join(body_stand_ins(path.read_text()) for path in files))
    sources = [*(folder / name for name in ("main.c", "stand_ins.c", "bodies.c")), *files]
    flags = [
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        "-Wno-unused-parameter",
        "-fsanitize=address,undefined",
    ]
    flags += [
        "-DSTAND_INS",
        f"-DPIENN_TARGET_{VERSIONS[target].upper()}",
        "-DPIENN_CHECKS",
        *include_flags(folder),
    ]
    program = folder / "program"
    build_on_host(tool("gcc"), [*sources, *runtime_files("host"), *kernel_files(planned)], flags, program)
    return target, program


def run_broken(program: Path, kernel: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), kernel], capture_output=True, text=True)


def expected_report(graph: Graph, target: str, defect: str) -> str:
    """The line that names the first call of the kernel with the element that DEFECTS changes."""
    _, _, tensors = sample_of(graph)
    planned = pack(plan(graph, target)).plan
    call = next(one for one in planned.calls if one.kernel.name == defect and one.version != "ref")
    values = tensors[planned.tensors[call.op.result].name]
    position = [axis % size for axis, size in zip(DEFECTS[defect][1] or (), values.shape)]
    right = int(values[tuple(position)])
    axes = ("y ", "x ", "channel ") if len(position) == 3 else ("",) * len(position)
    place = ", ".join(f"{axis}{number}" for axis, number in zip(axes, position))
    return (
        f"digits: layer {call.op.layer}, {defect}_{VERSIONS[target]}: element ({place}) is {right ^ 1}, "
        f"by the reference {right}; 1 of {values.size} differ"
    )


def test_equal_results_report_nothing(host_build) -> None:
    done = run_broken(host_build[1], "none")
    assert (done.returncode, done.stderr) == (0, "")
    _, expected, _ = sample_of(digits_graph())
    assert done.stdout.splitlines() == ["PIENN_OK", " ".join(map(str, expected.tolist()))]


@pytest.mark.parametrize("defect", [kernel for kernel, (_, element) in DEFECTS.items() if element])
def test_a_broken_kernel_is_named_with_layer_element_and_both_values(host_build, defect: str) -> None:
    target, program = host_build
    done = run_broken(program, defect)
    report = "pienn: " + expected_report(digits_graph(), target, defect)
    assert done.stderr.splitlines() == [report, report]  # by main, and by digits_run
    assert done.stdout.splitlines()[0] == "PIENN_ERR_DIFFERENT"


def test_a_border_that_is_wrong_is_named_with_its_byte(host_build) -> None:
    target, program = host_build
    call = next(one for one in plan(digits_graph(), target).calls if one.margins)
    first, _ = run_broken(program, "halo_s8").stderr.splitlines()
    place = f"pienn: digits: layer {call.op.layer}, halo_s8_{VERSIONS[target]}: byte 3 of its border"
    assert first.startswith(f"{place} is -127, by the reference -128; 1 of ")


def any_program(graph: Graph, inputs: list[np.ndarray]) -> str:
    """A main() that runs the network `net` on the heap, where every byte beyond a buffer is watched."""
    ports = [f"in{i}" for i in range(len(inputs))] + [f"out{i}" for i in range(len(graph.outputs))]
    text = '#include <stdio.h>\n#include <stdlib.h>\n#include "net.h"\nconst char *broken = "";\n'
    for i, array in enumerate(inputs):
        text += c_array(f"in{i}", array)
    text += "int main(void) {\n"
    for i, port in enumerate(graph.outputs):
        text += f"    int8_t *out{i} = malloc({int(np.prod(port.shape))});\n"
    text += (
        "    void *arena = aligned_alloc(16, (NET_ARENA_BYTES + 15) / 16 * 16);\n    pienn_difference found;\n"
        f"    puts(pienn_err_to_name(net_run_shadow(arena, {', '.join(ports)}, &found)));\n"
        "    pienn_report_difference(&found);\n"
    )
    for i, port in enumerate(graph.outputs):
        size = int(np.prod(port.shape))
        text += f'    for (int i = 0; i < {size}; i++) printf("%d\\n", out{i}[i]);\n    free(out{i});\n'
    return text + "    free(arena);\n    return 0;\n}\n"


@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("seed", range(2))
def test_random_networks_are_compared_in_every_chip_call_within_the_arena(
    tmp_path: Path, tool, target: str, seed: int
) -> None:
    graph = random_graph(seed, 20)
    inputs = random_inputs(graph, seed, batch=1)
    packed = pack(plan(graph, target))
    files = [path for path in generate(packed, tmp_path, "net", shadow=True) if path.suffix == ".c"]
    text = next(path for path in files if path.name == "net.c").read_text()
    own = sum(call.version != "ref" for call in packed.plan.calls)
    assert own and text.count("    pienn_watch_compare") == own
    assert text.count("_ref(") == len(packed.plan.calls)
    (tmp_path / "main.c").write_text(any_program(graph, inputs))
    (tmp_path / "stand_ins.c").write_text(stand_ins(target, packed.plan))
    (tmp_path / "bodies.c").write_text("".join(body_stand_ins(path.read_text()) for path in files))
    sources = [*(tmp_path / name for name in ("main.c", "stand_ins.c", "bodies.c")), *files]
    flags = [
        "-fsanitize=address,undefined",
        f"-DPIENN_TARGET_{VERSIONS[target].upper()}",
        *include_flags(tmp_path),
    ]
    program = tmp_path / "program"
    build_on_host(tool("gcc"), [*sources, *runtime_files("host"), *kernel_files(packed.plan)], flags, program)
    done = run_broken(program, "none")
    expected = np.concatenate([array.ravel() for array in interpreter.run(graph, inputs)])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["PIENN_OK", *map(str, expected.tolist())]


# On the chips: maxima become minima.
MAXIMUM = {"esp32p4": "esp.vmax.s8", "esp32s3": "ee.vmax.s8"}


@pytest.mark.parametrize(("target", "broken"), [(CHIPS[0], False), (CHIPS[0], True), (CHIPS[1], True)])
def test_firmware_on_the_chip_finds_a_broken_kernel(
    tmp_path: Path, checkout: Path, tool, target: str, broken: bool
) -> None:
    """With constants that pass through the arena, which the reference reads in place."""
    tool({"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}[target])
    graph = digits_graph()
    given, expected, tensors = sample_of(graph)
    packed = pack(plan(graph, target)).placed(Budget(SLOW, "flash"))
    assert any(call.home.parts for call in packed.plan.calls)
    shutil.copytree(checkout / "src_asm", tmp_path / "src_asm")
    assembly = tmp_path / "src_asm" / target
    if broken:
        source = assembly / "max_pool2d_s8.S"
        text = source.read_text()
        assert MAXIMUM[target] in text
        source.write_text(text.replace(MAXIMUM[target], MAXIMUM[target].replace("max", "min")))
    files = generate(packed, tmp_path, "digits", shadow=True)
    (tmp_path / "sample.h").write_text(c_array("input", given))
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [tmp_path / "main.c", *(path for path in files if path.suffix == ".c"), *runtime_files("bare")]
    sources += kernel_files(packed.plan, assembly)
    options = [f"-DPIENN_TARGET_{VERSIONS[target].upper()}", *include_flags(tmp_path)]
    printed = run_on_chip(target, sources, options, tmp_path / "program.elf").splitlines()
    if not broken:
        assert printed == ["PIENN_OK", " ".join(map(str, expected.tolist()))]
        return
    windows = tensors["add"].reshape(4, 2, 4, 2, 32).transpose(0, 2, 4, 1, 3).reshape(4, 4, 32, 4)
    wrong, right = windows.min(-1), windows.max(-1)
    y, x, channel = np.argwhere(wrong != right)[0]
    report = (
        f"digits: layer pool, max_pool2d_s8_{VERSIONS[target]}: element (y {y}, x {x}, channel {channel}) is "
        f"{wrong[y, x, channel]}, by the reference {right[y, x, channel]}; {(wrong != right).sum()} of 512 differ"
    )
    assert printed[:2] == ["PIENN_ERR_DIFFERENT", report]
    assert printed[3] == report


def test_a_kernel_that_wants_other_fields_than_the_reference_is_refused() -> None:
    packed = pack(plan(digits_graph(), "esp32p4"))
    call, given = next(
        pair for pair in zip(packed.plan.calls, packed.parameters) if "blocks" in pair[1].arrays
    )
    assert set(shadow_arrays(packed.plan.graph, call, given)) == {"weights", "bias", "shift"}
    other = replace(given, fields={**given.fields, "minimum": 5})
    with pytest.raises(PiennError, match=f"{call.op.layer}: {call.kernel.name}_p4 cannot be checked"):
        shadow_arrays(packed.plan.graph, call, other)


def test_shadow_without_a_chip_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.pie"
    write_model(model, 1)
    for options in (["--target", "host"], ["--target", "esp32p4", "--no-simd"]):
        done = CliRunner().invoke(compile, [str(model), "-o", str(tmp_path / "out"), "--shadow", *options])
        assert isinstance(done.exception, PiennError) and "--target esp32p4" in str(done.exception)
