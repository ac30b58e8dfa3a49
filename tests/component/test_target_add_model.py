"""target_add_model in plain CMake: correct results, no needless step, and mistakes named where they were made."""

from __future__ import annotations

import os
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
    "target_add_model(user gone.pie)": "gone.pie: no such model file",
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
    "target_add_model(user weights.pt PYTHON ${CMAKE_SOURCE_DIR}/bare\\ python)": "'torch==2.13.*'",
}


@pytest.mark.parametrize("call", MISTAKES)
def test_mistakes_stop_the_configuration_with_one_line_at_the_call(
    project: Project, component: Path, call: str
) -> None:
    interpreter_without_packages(project.folder)
    (project.folder / "weights.pt").write_bytes(b"")
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
