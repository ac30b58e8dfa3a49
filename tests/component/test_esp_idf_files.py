"""What ESP-IDF reads of the component: sources for each chip, Kconfig, manifest, archive."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from component_project import errors, run, write_model

from pienn.plan.kernel_list import read_kernels
from pienn.version import VERSION

CHIPS = {"esp32p4": "p4", "esp32s3": "s3"}
RUNTIME = [
    *(f"component/runtime/{name}.c" for name in ("callers", "errors", "profile", "shadow", "text")),
    "component/port/esp_idf.c",
]
REGISTERS_COMPONENTS_ONLY = """\
cmake_minimum_required(VERSION 3.20)
project(stand_in C ASM)
# ESP-IDF's part, as far as the component uses it
set(ESP_PLATFORM 1)
set(CONFIG_IDF_TARGET {target})
{config}
macro(idf_component_register)
    cmake_parse_arguments(registered "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS" ${{ARGN}})
    set(COMPONENT_LIB __idf_${{COMPONENT_NAME}})
    add_library(${{COMPONENT_LIB}} STATIC ${{registered_SRCS}})
    add_library(idf::${{COMPONENT_NAME}} ALIAS ${{COMPONENT_LIB}})
    target_include_directories(${{COMPONENT_LIB}} PUBLIC ${{registered_INCLUDE_DIRS}}
                               PRIVATE ${{registered_PRIV_INCLUDE_DIRS}})
endmacro()
set(COMPONENT_NAME maker__pienn)
include("{component}/project_include.cmake")
add_subdirectory("{component}" pienn)
add_executable(firmware main.c)
target_add_model(firmware model.pie {options})
file(GENERATE OUTPUT seen.txt CONTENT "$<TARGET_PROPERTY:__idf_maker__pienn,SOURCES>
$<TARGET_PROPERTY:firmware,COMPILE_DEFINITIONS>
$<TARGET_PROPERTY:firmware,INCLUDE_DIRECTORIES>")
"""


def configure(folder: Path, component: Path, cmake: str, target: str, backend: str, options: str = ""):
    """Configure as ESP-IDF would; returns the run, the sources, definitions and include folders of the result."""
    write_model(folder / "model.pie", 1)
    (folder / "main.c").write_text('#include "model.h"\nint main(void) { return 0; }\n')
    config = f"set(CONFIG_PIENN_BACKEND_{backend} y)"
    text = REGISTERS_COMPONENTS_ONLY.format(
        component=component, target=target, config=config, options=options
    )
    (folder / "CMakeLists.txt").write_text(text)
    build = folder / "build"
    done = run(
        [cmake, "-G", "Ninja", "-S", str(folder), "-B", str(build), f"-DPIENN_PYTHON={sys.executable}"]
    )
    if done.returncode:
        return done, [], "", ""
    sources, definitions, includes = (build / "seen.txt").read_text().splitlines()
    return done, sorted(sources.split(";")), definitions, includes


@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("backend", ["PIE", "SHADOW", "REFERENCE"])
def test_each_chip_gets_the_sources_that_the_list_of_kernels_gives_it(
    component: Path, tmp_path: Path, tool, target: str, backend: str
) -> None:
    done, sources, definitions, _ = configure(tmp_path, component, tool("cmake"), target, backend)
    assert done.returncode == 0, done.stderr
    expected = RUNTIME + [f"src_ref/{kernel.name}.c" for kernel in read_kernels()]
    if backend != "REFERENCE":
        version = CHIPS[target]
        own = [kernel.name for kernel in read_kernels() if getattr(kernel, version) == version]
        assert own
        expected += [f"src_asm/{target}/{name}.S" for name in own]
        assert definitions == f"PIENN_TARGET_{version.upper()}"
    else:
        assert definitions == ""
    assert [re.sub(r".*/(?=src_|component/)", "", source) for source in sources] == sorted(expected)
    for source in expected:
        assert (component / source).is_file(), source


# Kconfig backend, options of the call -> arguments of the generator
ARGUMENTS = {
    ("PIE", ""): "--target esp32p4 --simd",
    ("PIE", "BACKEND PIE"): "--target esp32p4 --simd",
    ("PIE", "BACKEND REF"): "--target esp32p4 --no-simd",
    ("PIE", "SRAM 256K"): "--sram 256K",
    ("SHADOW", ""): "--target esp32p4 --simd --shadow",
    ("REFERENCE", ""): "--target host",
    ("REFERENCE", "BACKEND REF ARENA CALLER"): "--target host --arena caller",
}


@pytest.mark.parametrize(("backend", "options"), ARGUMENTS)
def test_models_are_compiled_for_the_backend(
    component: Path, tmp_path: Path, tool, backend: str, options: str
) -> None:
    tool("ninja")
    done, _, _, includes = configure(tmp_path, component, tool("cmake"), "esp32p4", backend, options)
    assert done.returncode == 0, done.stderr
    command = next(
        line
        for line in (tmp_path / "build/build.ninja").read_text().splitlines()
        if "run_pienn.py" in line and "COMMAND = " in line
    )
    assert ARGUMENTS[backend, options] in command
    assert (
        f"{component}/include" in includes
    )  # the model's target is linked with the component, whatever its name
    built = run(["ninja", "-C", str(tmp_path / "build"), "pienn-firmware-model"])
    assert built.returncode == 0, built.stdout
    assert not [line for line in built.stdout.splitlines() if line.startswith("  ")]  # nothing layer by layer
    text = (tmp_path / "build/pienn/firmware/model/model.c").read_text()
    with_reference = "--no-simd" in ARGUMENTS[backend, options] or backend == "SHADOW"
    assert ("pienn_fully_connected_s8_ref(" in text) == with_reference


def test_assembly_for_a_component_built_without_it_is_refused(component: Path, tmp_path: Path, tool) -> None:
    done, *_ = configure(tmp_path, component, tool("cmake"), "esp32p4", "REFERENCE", "BACKEND PIE")
    (line,) = errors(done.stderr)
    assert "choose PIE assembly in menuconfig under PIE-NN" in line


def test_two_models_of_one_name_in_a_firmware_are_refused(component: Path, tmp_path: Path, tool) -> None:
    write_model(tmp_path / "other.pie", 2)
    other = ")\nadd_library(part other.c)\ntarget_add_model(part other.pie NAME model"
    done, *_ = configure(tmp_path, component, tool("cmake"), "esp32p4", "PIE", other)
    (line,) = errors(done.stderr)
    assert f"{tmp_path}/model.pie is called model already: give another name with NAME" in line


# target, whether PIE is chosen by default
DEFAULTS = {"esp32p4": True, "esp32s3": True, "esp32c6": False, "linux": False}


@pytest.mark.parametrize("target", DEFAULTS)
def test_kconfig_chooses_the_assembly_where_there_is_one(
    component: Path, tmp_path: Path, target: str
) -> None:
    pytest.importorskip("kconfgen", reason="esp-idf-kconfig is not installed")
    (tmp_path / "Kconfig").write_text(
        f'mainmenu "stand-in"\nconfig IDF_TARGET_{target.upper()}\n    bool\n    default y\n'
        f'source "{component}/Kconfig"\n'
    )
    result = tmp_path / "config.json"
    command = [sys.executable, "-m", "kconfgen", "--kconfig", str(tmp_path / "Kconfig")]
    done = run([*command, "--config", str(tmp_path / "sdkconfig"), "--output", "json", str(result)])
    assert done.returncode == 0, done.stderr
    values = json.loads(result.read_text())
    assert values.get("PIENN_BACKEND_PIE", False) is DEFAULTS[target]
    assert values["PIENN_BACKEND_REFERENCE"] is not DEFAULTS[target]


def test_kconfig_keeps_to_the_style_of_esp_idf(component: Path, tmp_path: Path) -> None:
    pytest.importorskip("kconfcheck", reason="esp-idf-kconfig is not installed")
    done = run([sys.executable, "-m", "kconfcheck", "--check", "syntax", str(component / "Kconfig")])
    assert done.returncode == 0, done.stdout + done.stderr


def test_packed_component_is_complete_and_has_no_tests(component: Path, tmp_path: Path, tool) -> None:
    pytest.importorskip("idf_component_manager", reason="idf-component-manager is not installed")
    (component / "tests").mkdir(exist_ok=True)
    (component / "tests" / "test_nothing.py").write_text("")
    compote = Path(sys.executable).with_name("compote")
    command = [str(compote), "component", "pack", "--project-dir", str(component), "--name", "pienn"]
    done = subprocess.run(
        [*command, "--dest-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "IDF_COMPONENT_CACHE_PATH": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    archive = tmp_path / f"pienn_{VERSION}.tgz"  # the manifest's version is the generator's
    with tarfile.open(archive) as packed:
        names = {name.removeprefix("./") for name in packed.getnames()}
    for name in (
        "CMakeLists.txt",
        "Kconfig",
        "idf_component.yml",
        "project_include.cmake",
        "component/cmake/target_add_model.cmake",
        "component/cmake/run_pienn.py",
        "component/port/esp_idf.c",
        "component/runtime/profile.c",
        "include/pienn/watch.h",
        "include/pienn/kernels.inc",
        "src_ref/conv2d_s8.c",
        "src_asm/esp32p4/conv2d_s8.S",
        "src_asm/params.h",
        "generator/pyproject.toml",
        "generator/pienn/codegen/templates/model.c.jinja",
    ):
        assert name in names, name
    assert not [name for name in names if name.startswith(("tests", "docs")) or "__pycache__" in name]
