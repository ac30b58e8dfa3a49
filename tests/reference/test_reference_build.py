"""The C side compiles without a warning everywhere, and its files, headers and lists agree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from reference_cases import CASES, WITHOUT_OPERATION
from reference_library import CHECKOUT, INCLUDE, SOURCES, STRUCTS, WARNINGS, compile_library

from pienn.plan.kernel_list import page, read_kernels

KERNELS = read_kernels()
NAMES = sorted(kernel.name for kernel in KERNELS)
CONTRACT = ("formula", "rounding", "ranges", "alignment", "aliasing", "tail")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_host_compilers_are_content(tool, tmp_path: Path, compiler: str) -> None:
    for flags in (("-O0",), ("-O3", "-Wpedantic")):
        compile_library(tmp_path / "all.so", flags=flags, cc=tool(compiler))


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("riscv64-unknown-elf-gcc", ("-march=rv32imafc", "-mabi=ilp32f", "-ffreestanding")),
        ("xtensa-lx106-elf-gcc", ("-ffreestanding",)),
    ],
)
def test_chips_compilers_are_content(tool, tmp_path: Path, compiler: str, flags: tuple[str, ...]) -> None:
    """32-bit pointers: the layout assertions of layers.h hold there too."""
    gcc = tool(compiler)
    for source in sorted(SOURCES.glob("*.c")):
        command = [
            gcc,
            *WARNINGS,
            "-O2",
            *flags,
            f"-I{INCLUDE}",
            "-c",
            str(source),
            "-o",
            str(tmp_path / "k.o"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def test_headers_serve_cplusplus(tool, tmp_path: Path) -> None:
    source = tmp_path / "user.cpp"
    source.write_text('#include "pienn/pienn.h"\nint main() { return pienn_quantise(0.0f, 0, 0); }\n')
    compiler = tool("g++")
    command = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", "-c", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "user.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_plain_cmake_library_builds_and_links(tool, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\n"
        f'add_subdirectory("{CHECKOUT}" pienn)\n'
        "add_executable(user user.c)\ntarget_link_libraries(user PRIVATE pienn::pienn)\n"
    )
    (project / "user.c").write_text(
        '#include "pienn/pienn.h"\n'
        "int main(void) {\n"
        "    int8_t table[256] = {[128 + 5] = 7}, x = 5, y = 0;\n"
        "    const pienn_view view = {1, 1, 1, 1, 1, 16};\n"
        "    const pienn_lut_s8_params p = {table, view, view};\n"
        "    pienn_lut_s8(&x, &y, &p);\n"
        "    return y == 7 ? 0 : 1;\n}\n"
    )
    cmake, build = tool("cmake"), tmp_path / "build"
    for command in (
        [cmake, "-S", str(project), "-B", str(build)],
        [cmake, "--build", str(build)],
        [str(build / "user")],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_public_name_is_the_version_that_the_list_gives_the_chip(tool, tmp_path: Path) -> None:
    """With an assembly version in the list, a build for that chip calls it, and every other build the reference."""
    include = tmp_path / "pienn"
    include.mkdir()
    for header in (INCLUDE / "pienn").iterdir():
        text = header.read_text()
        if header.name == "kernels.inc":
            row = r"\(lut_s8, UNARY, \w+, \w+, \d+, \d+"
            text, found = re.subn(row, "(lut_s8, UNARY, p4, ref, 16, 301", text)
            assert found == 1
        (include / header.name).write_text(text)
    assert [kernel.p4 for kernel in read_kernels(include / "kernels.inc") if kernel.name == "lut_s8"] == [
        "p4"
    ]
    source = tmp_path / "versions.c"
    source.write_text(
        '#include "pienn/layers.h"\n'
        "static int called;\n"
        "#define VERSION(version, number) \\\n"
        "    void pienn_lut_s8_##version(const int8_t *x, int8_t *y, const pienn_lut_s8_params *p) { \\\n"
        "        called = (x == 0) + (y == 0) + (p == 0) == 3 ? number : -1; }\n"
        "VERSION(ref, 1) VERSION(p4, 2)\n"
        "int main(void) { pienn_lut_s8(0, 0, 0); return called; }\n"
    )
    program = tmp_path / "versions"
    for target, version in (("", 1), ("-DPIENN_TARGET_P4", 2), ("-DPIENN_TARGET_S3", 1)):
        # -O1: public functions that are not called, and so the references they need, disappear
        flags = [*WARNINGS, "-O1", f"-I{tmp_path}", *([target] if target else [])]
        subprocess.run([tool("gcc"), *flags, str(source), "-o", str(program)], check=True)
        assert subprocess.run([str(program)]).returncode == version, target


def test_every_kernel_has_source_struct_case_and_build_line() -> None:
    assert sorted(path.stem for path in SOURCES.glob("*.c")) == NAMES
    assert sorted(f"pienn_{name}_params" for name in NAMES) == sorted(set(STRUCTS) - {"pienn_view"})
    assert sorted([*CASES, *WITHOUT_OPERATION]) == NAMES
    listed = re.findall(r"^ +src_ref/(\w+)\.c", (CHECKOUT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_source_has_its_contract_and_one_symbol(name: str) -> None:
    text = (SOURCES / f"{name}.c").read_text()
    headings = re.findall(r"^ \* ([a-z]+)  +\S", text, re.MULTILINE)
    assert text.startswith(f"/* {name}\n")
    assert tuple(headings) == CONTRACT
    assert re.findall(r"^void (\w+)\(", text, re.MULTILINE) == [f"pienn_{name}_ref"]


@pytest.mark.parametrize("name", NAMES)
def test_sources_neither_allocate_nor_recurse_nor_keep_state(name: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", (SOURCES / f"{name}.c").read_text(), flags=re.DOTALL)
    assert not re.search(r"\b(malloc|calloc|realloc|alloca|free)\b", text)
    functions = re.split(r"^(?=static |void )", text, flags=re.MULTILINE)[1:]
    for function in functions:
        declared = re.match(r"(?:static )?\w+ (\w+)\(", function)
        assert declared, f"{name}: a definition at file level that is no function: {function[:60]}"
        assert function.count(f"{declared[1]}(") == 1, f"{declared[1]} calls itself"
        assert "static" not in function[6:], f"{declared[1]} keeps state"


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_every_struct_field_is_explained_and_its_layout_checked(name: str) -> None:
    text = "".join((INCLUDE / "pienn" / file).read_text() for file in ("tensor.h", "layers.h"))
    if re.search(rf"typedef pienn_\w+ {name};", text):
        return  # another name of a struct that is checked under its own
    definition = re.search(rf"typedef struct {name} \{{\n(.*?)\n\}} {name};\n", text, re.DOTALL)
    assert definition, f"{name} is not laid out as the others"
    assert f"PIENN_LAYOUT({name}, " in text
    for line in definition[1].splitlines():
        plain = re.fullmatch(r"    pienn_view [xy];", line) or re.fullmatch(
            r"    int32_t [xy]_strides\[.*\];", line
        )
        assert plain or "/* " in line, f"{name}: no comment: {line.strip()}"


def test_kernels_page_is_current() -> None:
    again = "python -m pienn.plan.kernel_list"
    assert (CHECKOUT / "docs" / "kernels.md").read_text() == page(KERNELS), f"make it anew: {again}"
