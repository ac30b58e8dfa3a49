"""target_add_model in plain CMake: correct results, no needless step, and mistakes named where they were made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from component_project import Project, errors, write_model

from pienn.ir import interpreter

NOTHING = {"generated": 0, "compiled": 0, "linked": 0}
# Reads the inputs of `count` runs from stdin, writes the outputs.
MAIN = """\
#include <stdio.h>
#include "{header}.h"
int main(void) {{
    int8_t x[{upper}_INPUT_BYTES], y[{upper}_OUTPUT_BYTES];
    while (fread(x, 1, sizeof x, stdin) == sizeof x) {{
        {header}_run(x, y);
        fwrite(y, 1, sizeof y, stdout);
    }}
    return 0;
}}
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(user C)
add_subdirectory("{component}" pienn)
add_executable(user main.c other.c)
target_add_model(user "first model.pie" NAME first OUT_DIR folder)
target_add_model(user second.pie ARENA CALLER)
add_executable(alone alone.c)
target_add_model(alone "first model.pie" NAME first)
file(WRITE "${{CMAKE_BINARY_DIR}}/folder.txt" "${{folder}}")
"""


def write_project(folder: Path, component: Path) -> None:
    (folder / "CMakeLists.txt").write_text(CMAKE.format(component=component))
    (folder / "main.c").write_text(MAIN.format(header="first", upper="FIRST"))
    (folder / "alone.c").write_text(MAIN.format(header="first", upper="FIRST"))
    (folder / "other.c").write_text('#include "second.h"\nint other = SECOND_ARENA_BYTES;\n')


def run_program(program: Path, stored: np.ndarray) -> np.ndarray:
    done = subprocess.run([str(program)], input=stored.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int8)


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_builds_are_right_and_do_nothing_needless(
    component: Path, tmp_path: Path, tool, generator: str
) -> None:
    """Two models in one target, one model in two targets, blanks in every path."""
    tool("ninja" if generator == "Ninja" else "make")
    folder = tmp_path / "an app"
    folder.mkdir()
    write_project(folder, component)
    model = folder / "first model.pie"
    graph = write_model(model, 1)
    write_model(folder / "second.pie", 2, channels=4)
    project = Project(folder, tool("cmake"), generator)
    done = project.configure()
    assert done.returncode == 0, done.stderr
    stored = np.random.default_rng(3).integers(-128, 128, (5, 6, 5, 3)).astype(np.int8)

    assert project.steps() == {"generated": 3, "compiled": 21 + 6 + 2 * 2 + 2 + 2 + 1, "linked": 3}
    (expected,) = interpreter.run(graph, [stored])
    for program in ("user", "alone"):
        assert np.array_equal(run_program(project.build_folder / program, stored), expected.ravel())
    generated = Path((project.build_folder / "folder.txt").read_text())
    assert (generated / "first.h").is_file() and (generated / "first_weights.c").is_file()
    assert project.steps() == NOTHING

    os.utime(model)
    assert project.steps() == {"generated": 2, "compiled": 0, "linked": 0}
    assert project.steps() == NOTHING

    os.utime(component / "generator/pienn/plan/memory.py")
    os.utime(component / "generator/pienn/codegen/templates/model.c.jinja")
    assert project.steps() == {"generated": 3, "compiled": 0, "linked": 0}
    assert project.steps() == NOTHING

    changed = write_model(model, 4)
    steps = project.steps()
    assert steps["generated"] == 2 and steps["linked"] == 2 and steps["compiled"] > 0
    (after,) = interpreter.run(changed, [stored])
    assert not np.array_equal(after, expected)
    for program in ("user", "alone"):
        assert np.array_equal(run_program(project.build_folder / program, stored), after.ravel())
    assert project.steps() == NOTHING

    assert project.build("--target", "clean").returncode == 0
    assert not (generated / "first.h").exists()
    again = project.build("--target", "pienn-user-first")
    assert again.returncode == 0 and again.stdout.count("PIE-NN: compiling ") == 1
    assert (generated / "first.h").is_file()


@pytest.fixture
def project(component: Path, tmp_path: Path, tool) -> Project:
    """A project whose CMakeLists.txt lacks the call, which `add` puts into its line 6."""
    tool("ninja")
    write_model(tmp_path / "model.pie", 1)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    return Project(tmp_path, tool("cmake"), "Ninja")


def add(project: Project, component: Path, call: str) -> str:
    """Write the project with the call; returns the place that errors must name."""
    text = (
        f'cmake_minimum_required(VERSION 3.20)\nproject(user C)\nadd_subdirectory("{component}" pienn)\n'
        f"add_executable(user main.c)\n# the call\n{call}\n"
    )
    (project.folder / "CMakeLists.txt").write_text(text)
    return f"{project.folder}/CMakeLists.txt:6: error: "


def interpreter_without_packages(folder: Path) -> Path:
    """An interpreter that sees its standard library alone."""
    bare = folder / "bare python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    return bare


# call -> what its one line of complaint says
MISTAKES = {
    "target_add_model(user gone.pie)": "gone.pie: no such model file: make it with `pienn export`",
    "target_add_model(user main.c)": "main.c: a model is a .pie, .pt2 or .pt file",
    "target_add_model(later model.pie)": "there is no target later yet: call target_add_model after it is made",
    "target_add_model(user model.pie COLOUR red)": "does not know 'COLOUR;red'",
    "target_add_model(user model.pie NAME)": "NAME has no value",
    "target_add_model(user model.pie NAME 7up)": "'7up' cannot begin names in C: give another with NAME",
    "target_add_model(user model.pie BACKEND FAST)": "BACKEND is AUTO, REF or PIE, not FAST",
    "target_add_model(user model.pie BACKEND PIE)": "reference layers; choose PIE assembly in menuconfig",
    "target_add_model(user model.pie ARENA HEAP)": "ARENA is STATIC or CALLER, not HEAP",
    "target_add_model(user model.pie PYTHON /no/python)": "/no/python: cannot be run",
    "target_add_model(user model.pie PYTHON ${CMAKE_SOURCE_DIR}/bare\\ python)": "-m pip install 'click>=8.1'",
    "target_add_model(user weights.pt FACTORY a:b PYTHON ${CMAKE_SOURCE_DIR}/bare\\ python)": "'torch==2.13.*'",
    "target_add_model(user weights.pt2 PYTHON ${CMAKE_SOURCE_DIR}/bare\\ python)": "or export a .pie file",
    "target_add_model(user weights.pt)": "weights.pt holds weights only: name the function that builds the module with",
    "target_add_model(user weights.pt2 CALIBRATION gone.npz)": "gone.npz: no such file of calibration inputs",
    "target_add_model(user model.pie FACTORY a:b)": "quantised already: FACTORY is for .pt and .pt2 files",
    "target_add_model(user model.pie INPUT_SHAPE 3 six 5)": "INPUT_SHAPE is made of sizes, such as 1 28 28",
    "target_add_model(user model.pie SRAM 64KB)": "SRAM is a size like 262144, 256K or 1M, not 64KB",
}


@pytest.mark.parametrize("call", MISTAKES)
def test_mistakes_stop_the_configuration_with_one_line_at_the_call(
    project: Project, component: Path, call: str
) -> None:
    interpreter_without_packages(project.folder)
    for name in ("weights.pt", "weights.pt2"):
        (project.folder / name).write_bytes(b"")
    place = add(project, component, call)
    done = project.configure()
    assert done.returncode != 0
    (line,) = errors(done.stderr)
    assert line.startswith(place) and MISTAKES[call] in line


def test_two_models_of_one_name_in_a_target_are_refused(project: Project, component: Path) -> None:
    add(project, component, "target_add_model(user model.pie)\ntarget_add_model(user model.pie)")
    done = project.configure()
    (line,) = errors(done.stderr)
    assert "target user has a model model already: give another name with NAME" in line


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_a_call_regenerates_when_its_arguments_change_and_not_when_it_moves(
    project: Project, component: Path, generator: str
) -> None:
    project.generator = generator
    (project.folder / "side.txt").write_text("1")
    target = ["--target", "pienn-user-model"]

    def runs(call: str) -> tuple[int, int]:
        """Generator runs in the build after the call was changed, and in the one after that."""
        add(project, component, call)
        first, second = project.build(*target), project.build(*target)
        assert first.returncode == second.returncode == 0, first.stdout + first.stderr
        return first.stdout.count("PIE-NN: compiling "), second.stdout.count("PIE-NN: compiling ")

    add(project, component, "target_add_model(user model.pie DEPENDS side.txt)")
    assert project.configure().returncode == 0
    assert runs("target_add_model(user model.pie DEPENDS side.txt)") == (1, 0)
    assert runs("\n\n# moved\ntarget_add_model(user model.pie DEPENDS side.txt)") == (0, 0)
    assert runs("target_add_model(user model.pie DEPENDS side.txt ARENA CALLER)") == (1, 0)
    assert "model_run(" not in (project.build_folder / "pienn/user/model/model.h").read_text()
    os.utime(project.folder / "side.txt")
    assert runs("target_add_model(user model.pie DEPENDS side.txt ARENA CALLER)") == (1, 0)


def test_a_summary_of_three_lines_is_printed(project: Project, component: Path) -> None:
    add(project, component, "target_add_model(user model.pie)")
    assert project.configure().returncode == 0
    printed = project.build("--target", "pienn-user-model").stdout.splitlines()
    assert [line.split(":")[0] for line in printed if not line.startswith("[")] == [
        "model",
        "arena",
        "written",
    ]


def test_the_input_shape_is_checked(project: Project, component: Path) -> None:
    add(project, component, "target_add_model(user model.pie INPUT_SHAPE 3 6 5)")
    assert project.configure().returncode == 0
    assert project.steps()["generated"] == 1
    place = add(project, component, "target_add_model(user model.pie INPUT_SHAPE 3 5 6)")
    done = project.build()
    (line,) = errors(done.stdout + done.stderr)
    assert line.startswith(place) and "takes 3x6x5, but the input shape asked for is 3x5x6" in line


def test_a_report_can_be_built(project: Project, component: Path) -> None:
    add(project, component, "target_add_model(user model.pie)\ntarget_add_model(user model.pie NAME second)")
    assert project.configure().returncode == 0
    done = project.build("--target", "second-report")
    assert done.returncode == 0, done.stdout + done.stderr
    page = project.build_folder / "second-report.html"
    assert "classifier" in page.read_text() and str(page) in done.stdout
    assert not (project.build_folder / "model-report.html").exists()


def test_a_difference_stops_the_build_with_one_line_at_the_call(project: Project, component: Path) -> None:
    """The reference is changed where verification compiles it, in a copy of the component."""
    copy = project.folder / "broken component"
    shutil.copytree(component, copy)
    source = copy / "src_ref" / "fully_connected_s8.c"
    text = source.read_text()
    assert text.count("+=") >= 1
    source.write_text(text.replace("+=", "-=", 1))
    place = add(project, copy, "target_add_model(user model.pie VERIFY)")
    assert project.configure().returncode == 0
    done = project.build("--target", "pienn-user-model")
    (line,) = errors(done.stdout + done.stderr)
    assert line.startswith(place) and "pienn verify model.pie: the check failed, see above" in line
    assert re.search("^DIFFERENT: .*classifier", done.stdout, re.MULTILINE), done.stdout


def test_verify_compares_when_the_model_is_regenerated(project: Project, component: Path) -> None:
    add(project, component, "target_add_model(user model.pie VERIFY)")
    assert project.configure().returncode == 0
    target = ["--target", "pienn-user-model"]
    assert "\nequal: " in project.build(*target).stdout
    assert "equal: " not in project.build(*target).stdout
    os.utime(project.folder / "model.pie")
    assert "\nequal: " in project.build(*target).stdout


def test_a_broken_model_stops_the_build_with_one_line_at_the_call(project: Project, component: Path) -> None:
    place = add(project, component, "target_add_model(user\n    model.pie)")
    (project.folder / "model.pie").write_bytes(b"no zip")
    assert project.configure().returncode == 0
    done = project.build()
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    (line,) = errors(done.stdout + done.stderr)
    assert line.startswith(place) and "model.pie" in line
    assert not list(project.build_folder.glob("pienn/user/model/**/*.c"))

    write_model(project.folder / "model.pie", 5)
    assert project.steps()["generated"] == 1


def test_wrong_options_stop_the_build_with_one_line_at_the_call(project: Project, component: Path) -> None:
    place = add(project, component, "target_add_model(user model.pie OPTIONS --colour red)")
    assert project.configure().returncode == 0
    done = project.build()
    (line,) = errors(done.stdout + done.stderr)
    assert line.startswith(place) and "--colour" in line
