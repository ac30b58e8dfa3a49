"""The firmware's runtime on this machine: errors, clock, arenas, rules for callers."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from component_project import small_graph

from pienn.codegen.generate import generate
from pienn.component import component_folder
from pienn.plan.plan import plan

HEADER = "include/pienn/runtime.h"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def runtime_sources(checkout: Path) -> list[Path]:
    return [*sorted((checkout / "component/runtime").glob("*.c")), checkout / "component/port/host.c"]


def includes(checkout: Path) -> list[str]:
    return [f"-I{checkout / folder}" for folder in ("include", "component/runtime", "component/port")]


@pytest.fixture(scope="module")
def runtime(checkout: Path, tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime with the port for a host, as a shared library."""
    library = tmp_path_factory.mktemp("runtime") / "libruntime.so"
    command = [tool("gcc"), *WARNINGS, "-fPIC", "-shared", *includes(checkout), "-o", str(library)]
    subprocess.run([*command, *map(str, runtime_sources(checkout))], check=True)
    return library


@pytest.mark.parametrize("compiler", ["gcc", "clang", "riscv64-unknown-elf-gcc"])
def test_runtime_compiles_without_warnings(checkout: Path, tmp_path: Path, tool, compiler: str) -> None:
    sources, flags = runtime_sources(checkout), [*WARNINGS, "-DPIENN_PROFILE"]
    if compiler.startswith("riscv"):
        sources[-1] = checkout / "component/port/bare.c"
        flags += ["-march=rv32imafc_zicsr", "-mabi=ilp32f", "--specs=picolibc.specs"]
    for source in sources:
        command = [
            tool(compiler),
            *flags,
            "-c",
            str(source),
            *includes(checkout),
            "-o",
            str(tmp_path / "x.o"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_error_has_its_own_name(checkout: Path, runtime: Path) -> None:
    library = ctypes.CDLL(str(runtime))
    library.pienn_err_to_name.restype = ctypes.c_char_p
    defined = re.findall(r"#define (PIENN_OK|PIENN_ERR_\w+) (\w+)", (checkout / HEADER).read_text())
    assert len(defined) == 5 and len({value for _, value in defined}) == 5
    for name, value in defined:
        assert library.pienn_err_to_name(int(value, 0)).decode() == name
    assert library.pienn_err_to_name(-1) == b"unknown error"


def test_clock_counts_what_it_says(runtime: Path) -> None:
    library = ctypes.CDLL(str(runtime))
    library.pienn_cycles.restype = library.pienn_clock_mhz.restype = ctypes.c_uint32
    before, start = time.monotonic_ns(), library.pienn_cycles()
    time.sleep(0.01)
    counted, after = library.pienn_cycles() - start, time.monotonic_ns()
    microseconds = counted % 2**32 / library.pienn_clock_mhz()
    assert 10_000 <= microseconds <= (after - before) / 1000


def test_arenas_are_aligned_and_end_in_readable_bytes(runtime: Path) -> None:
    library = ctypes.CDLL(str(runtime))
    library.pienn_arena_alloc.restype = ctypes.c_void_p
    library.pienn_arena_alloc.argtypes = [ctypes.c_size_t, ctypes.c_int]
    library.pienn_arena_free.argtypes = [ctypes.c_void_p]
    for size in (1, 15, 1000):
        arena = library.pienn_arena_alloc(size, 0)
        assert arena % 16 == 0
        ctypes.memset(arena, 0x5A, size + 48)
        library.pienn_arena_free(arena)
    assert library.pienn_arena_alloc(2**62, 1) is None
    library.pienn_arena_free(None)


# Sets what pienn_in_isr answers, then checks a caller with the arena that is named.
CALLER = """\
#include <stdlib.h>
#include <string.h>
#include "pienn/runtime.h"
static bool in_isr;
bool pienn_in_isr(void) {
    return in_isr;
}
int main(int count, char **arguments) {
    static _Alignas(16) char arena[32];
    (void)count;
    in_isr = strcmp(arguments[1], "interrupt") == 0;
    const char *given = strcmp(arguments[1], "null") == 0 ? NULL : arena + (strcmp(arguments[1], "odd") == 0);
    pienn_check_caller("digits", given);
    return pienn_caller_error(given);
}
"""
CALLERS = {
    "good": "",
    "null": "pienn: digits: the arena is NULL or not aligned to 16 bytes",
    "odd": "pienn: digits: the arena is NULL or not aligned to 16 bytes",
    "interrupt": "pienn: digits: run in an interrupt handler",
}


@pytest.fixture(scope="module")
def caller(checkout: Path, tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caller")
    (folder / "main.c").write_text(CALLER)
    # The port without its pienn_in_isr.
    port = (checkout / "component/port/host.c").read_text()
    port, count = re.subn(r"bool pienn_in_isr\(void\) \{.*?\n\}\n", "", port, flags=re.DOTALL)
    assert count == 1
    (folder / "port.c").write_text(port)
    sources = [folder / "main.c", folder / "port.c", *runtime_sources(checkout)[:-1]]
    command = [tool("gcc"), "-std=c11", *includes(checkout), *map(str, sources), "-o", str(folder / "caller")]
    subprocess.run(command, check=True)
    return folder / "caller"


@pytest.mark.parametrize("which", CALLERS)
def test_callers_that_break_a_rule_are_stopped_with_the_reason(caller: Path, which: str) -> None:
    done = subprocess.run([str(caller), which], capture_output=True, text=True)
    assert done.stderr.startswith(CALLERS[which])
    assert (done.returncode == 0) is (which == "good"), done.returncode
    assert done.stdout == ""


# target, symbols that are set besides -> symbols of the configuration that follows
CONFIGURATIONS = {
    ("esp32p4", ""): {
        "PIENN_BACKEND_PIE": True,
        "PIENN_ARENA_INTERNAL": True,
        "PIENN_LOG_LEVEL": 2,
        "PIENN_PROFILE": False,
        "PIENN_CHECKS": False,
        "PIENN_WEIGHT_STAGING": True,
    },
    ("esp32s3", "COMPILER_OPTIMIZATION_ASSERTIONS_ENABLE"): {"PIENN_CHECKS": True},
    ("esp32p4", "SPIRAM_ALLOW_BSS_SEG_EXTERNAL_MEMORY PIENN_ARENA_PSRAM PIENN_BACKEND_SHADOW"): {
        "PIENN_ARENA_PSRAM": True,
        "PIENN_BACKEND_SHADOW": True,
        "PIENN_BACKEND_PIE": False,
    },
    ("esp32p4", "PIENN_ARENA_PSRAM PIENN_LOG_NONE PIENN_PROFILE"): {
        "PIENN_ARENA_INTERNAL": True,  # there is no PSRAM
        "PIENN_LOG_LEVEL": 0,
        "PIENN_PROFILE": True,
    },
    ("linux", "PIENN_BACKEND_SHADOW"): {"PIENN_BACKEND_REFERENCE": True, "PIENN_WEIGHT_STAGING": False},
}


@pytest.mark.parametrize(("target", "given"), CONFIGURATIONS)
def test_kconfig_offers_what_the_target_can_do(
    checkout: Path, tmp_path: Path, target: str, given: str
) -> None:
    pytest.importorskip("kconfgen", reason="esp-idf-kconfig is not installed")
    others = [name for name in given.split() if not name.startswith("PIENN_")]
    symbols = [f"IDF_TARGET_{target.upper()}", *others]
    text = "".join(f"config {name}\n    bool\n    default y\n" for name in symbols)
    (tmp_path / "Kconfig").write_text(f'mainmenu "stand-in"\n{text}source "{checkout}/Kconfig"\n')
    chosen = [name for name in given.split() if name.startswith("PIENN_")]
    (tmp_path / "sdkconfig").write_text("".join(f"CONFIG_{name}=y\n" for name in chosen))
    result = tmp_path / "config.json"
    command = [sys.executable, "-m", "kconfgen", "--kconfig", str(tmp_path / "Kconfig")]
    command += ["--config", str(tmp_path / "sdkconfig"), "--output", "json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    values = json.loads(result.read_text())
    expected = CONFIGURATIONS[target, given]
    assert {name: values.get(name, False) for name in expected} == expected


def test_the_manual_lists_every_symbol_of_kconfig(checkout: Path) -> None:
    symbols = re.findall(r"^ +(choice|config) (PIENN_\w+)", (checkout / "Kconfig").read_text(), re.MULTILINE)
    section = (checkout / "docs/firmware.md").read_text().partition("## menuconfig")[2].partition("\n## ")[0]
    listed = set()
    for row in re.findall(r"^\| (`PIENN.*?) \|", section, re.MULTILINE):
        first, *endings = re.findall(r"`(\w+)`", row)
        listed |= {first, *(first + ending for ending in endings)}
    assert listed == {name for _, name in symbols} - {"PIENN_LOG_LEVEL"}


@pytest.mark.parametrize(("options", "section"), [([], ".bss"), (["-DCONFIG_PIENN_ARENA_PSRAM"], ".psram")])
def test_static_arenas_lie_where_kconfig_says(tmp_path: Path, tool, options: list[str], section: str) -> None:
    generate(plan(small_graph(1, 3)), tmp_path, "net")
    place = '-DPIENN_IN_PSRAM=__attribute__((section(".psram")))'
    command = [tool("gcc"), "-std=c11", *options, place, f"-I{tmp_path}", *includes(component_folder()), "-c"]
    subprocess.run([*command, str(tmp_path / "net.c"), "-o", str(tmp_path / "net.o")], check=True)
    shown = subprocess.run(
        [tool("objdump"), "-t", str(tmp_path / "net.o")], capture_output=True, text=True
    ).stdout
    (line,) = [line for line in shown.splitlines() if re.search(r"\barena\.\d+$", line)]
    assert line.split()[3] == section
