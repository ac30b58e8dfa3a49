"""Real builds by ESP-IDF: for Linux on its own, for the chips as far as compilers are at hand.

IDF_PATH names ESP-IDF, IDF_PYTHON_ENV_PATH its Python environment (as export.sh sets them). Without Espressif's
compilers chips are only configured, with stand-ins that never have to compile; with them they are built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from component_project import write_model

from pienn.plan.kernel_list import read_kernels
from pienn.version import VERSION

pytestmark = pytest.mark.skipif("IDF_PATH" not in os.environ, reason="no ESP-IDF: IDF_PATH is not set")

CMAKEV2 = """\
cmake_minimum_required(VERSION 3.22)
include($ENV{IDF_PATH}/tools/cmakev2/idf.cmake)
project(small C CXX ASM)
idf_project_default()
"""
COMPILERS = {"esp32p4": "riscv32-esp-elf", "esp32s3": "xtensa-esp32s3-elf"}
# Answers what ESP-IDF asks of a compiler while it configures, and compiles as the host does.
STAND_IN = """\
#!/bin/sh
case "$*" in *-dumpmachine*) echo {machine}; exit;; esac
for argument; do
    shift
    case "$argument" in -m*|-specs=*|--specs=*|-std=*|@*) ;; *) set -- "$@" "$argument";; esac
done
exec {program} "$@"
"""


class Idf:
    """A project and the idf.py that builds it."""

    def __init__(self, folder: Path, component: Path, programs: Path | None = None):
        """programs: a folder whose programs come before others of the same name."""
        self.folder = folder
        environment = Path(os.environ.get("IDF_PYTHON_ENV_PATH", sys.prefix))
        self.environment = {
            **os.environ,
            "PIENN_PYTHON": sys.executable,
            "IDF_COMPONENT_CHECK_NEW_VERSION": "0",
        }
        self.environment["PATH"] = os.pathsep.join(
            [*([str(programs)] if programs else []), str(environment / "bin"), os.environ["PATH"]]
        )
        if programs:
            self.environment["IDF_MAINTAINER"] = "1"  # takes compilers of other versions
        self.command = [str(environment / "bin" / "python"), f"{os.environ['IDF_PATH']}/tools/idf.py"]
        model, inputs = folder.with_name("small.pie"), folder.with_name("inputs.npy")
        write_model(model, 1)
        np.save(inputs, np.random.default_rng(2).integers(-128, 128, (2, 3, 6, 5)).astype(np.int8))
        done = subprocess.run(
            [sys.executable, "-c", "from pienn.cli import main; main()", "new-project"]
            + [str(model), "--input", str(inputs), "-o", str(folder)],
            capture_output=True,
            text=True,
            cwd=folder.parent,  # not where another generator lies
            env={**os.environ, "PYTHONPATH": str(component / "generator")},
        )
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, env=self.environment, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    def steps(self) -> tuple[int, int]:
        """Build, and count the generator's runs and the compilations."""
        text = self.run("build")
        return text.count("PIE-NN: compiling "), text.count("Building C ")

    def settings(self) -> dict[str, str]:
        lines = (self.folder / "sdkconfig").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))


@pytest.fixture(scope="module", params=["folder", "archive"])
def placed(request: pytest.FixtureRequest, component: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component as a copy of its folder, or out of the archive that its users get; of its own for this file."""
    folder = tmp_path_factory.mktemp(request.param) / "pienn"
    if request.param == "folder":
        shutil.copytree(component, folder)
        return folder
    pytest.importorskip("idf_component_manager", reason="idf-component-manager is not installed")
    compote = Path(sys.executable).with_name("compote")
    where = ["--project-dir", str(component), "--dest-dir", str(folder.parent)]
    subprocess.run(
        [str(compote), "component", "pack", "--name", "pienn", *where], check=True, capture_output=True
    )
    with tarfile.open(folder.parent / f"pienn_{VERSION}.tgz") as packed:
        packed.extractall(folder)
    return folder


def need_submodules(*names: str) -> None:
    """Skips where the folder of a submodule of ESP-IDF is empty: then it configures nothing."""
    for name in names:
        folder = Path(os.environ["IDF_PATH"], "components", name)
        if folder.is_dir() and not any(folder.iterdir()):
            pytest.skip(f"this ESP-IDF lacks its submodule components/{name}")


@pytest.mark.parametrize("system", ["cmakev1", "cmakev2"])
def test_linux_builds_are_right_and_do_nothing_needless(placed: Path, tmp_path: Path, system: str) -> None:
    if system == "cmakev2" and not Path(os.environ["IDF_PATH"], "tools", "cmakev2").is_dir():
        pytest.skip("this ESP-IDF has no cmakev2")
    need_submodules("mqtt/esp-mqtt")  # of 5.x, which looks at every component
    idf = Idf(tmp_path / "small", placed)
    if system == "cmakev2":
        (idf.folder / "CMakeLists.txt").write_text(CMAKEV2)
    assert "PIE-NN: compiling small.pie" in idf.run("--preview", "set-target", "linux", "build")
    with pytest.raises(subprocess.TimeoutExpired) as stopped:  # FreeRTOS runs on when app_main has returned
        subprocess.run([str(idf.folder / "build/small.elf")], stdout=subprocess.PIPE, timeout=3)
    assert "all 2 inputs match" in (stopped.value.stdout or b"").decode()

    assert idf.steps() == (0, 0)
    os.utime(idf.folder / "main/small.pie")
    assert idf.steps() == (1, 0)
    os.utime(placed / "generator/pienn/plan/memory.py")
    assert idf.steps() == (1, 0)
    assert idf.steps() == (0, 0)
    write_model(idf.folder / "main/small.pie", 7)
    assert idf.steps() == (1, 1)  # the weights; the calls are the same


@pytest.fixture
def programs(request: pytest.FixtureRequest, tmp_path: Path, tool) -> Path | None:
    """A folder with stand-ins for the chip's compilers, or None where there are real ones."""
    prefix = COMPILERS[request.getfixturevalue("target")]
    if shutil.which(f"{prefix}-gcc"):
        return None
    folder = tmp_path / "programs"
    folder.mkdir()
    stand_ins = {
        "gcc": "gcc",
        "g++": "g++",
        "ar": "ar",
        "ranlib": "ranlib",
        "objcopy": "objcopy",
        "objdump": "objdump",
    }
    for name, program in stand_ins.items():
        path = folder / f"{prefix}-{name}"
        path.write_text(STAND_IN.format(machine=prefix, program=tool(program)))
        path.chmod(0o755)
    return folder


@pytest.mark.parametrize("target", COMPILERS)
def test_a_chip_gets_its_kernels_its_settings_and_nobodys_flags(
    component: Path, tmp_path: Path, programs: Path | None, target: str
) -> None:
    need_submodules("heap/tlsf", "mbedtls/mbedtls")
    copy = tmp_path / "pienn"
    shutil.copytree(component, copy)
    idf = Idf(tmp_path / "small", copy, programs)
    idf.run("set-target", target, "reconfigure" if programs else "build")

    settings = idf.settings()
    for name in (
        "PIENN_BACKEND_PIE",
        "PIENN_PROFILE",
        "COMPILER_OPTIMIZATION_PERF",
        "SPIRAM",
        "SPIRAM_IGNORE_NOTFOUND",
    ):
        assert settings.get(f"CONFIG_{name}") == "y", name
    assert settings["CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ"] == {"esp32p4": "400", "esp32s3": "240"}[target]
    assert "CONFIG_ESP_TASK_WDT_CHECK_IDLE_TASK_CPU0" not in settings

    version = target.removeprefix("esp32")
    expected = {f"src_ref/{kernel.name}.c" for kernel in read_kernels()}
    expected |= {
        f"src_asm/{target}/{kernel.name}.S"
        for kernel in read_kernels()
        if getattr(kernel, version) == version
    }
    ours, flags = compiled(idf.folder, copy)
    assert {source for source in ours if source.startswith("src_")} == expected
    assert flags["ours"] == flags["others"]
    lines = (idf.folder / "build/build.ninja").read_text().splitlines()
    (call,) = (
        line for line in lines if "COMMAND = " in line and "run_pienn.py" in line and " compile " in line
    )
    assert f"--target {target} --simd" in call

    text = (idf.folder / "sdkconfig").read_text()
    text = text.replace("CONFIG_PIENN_BACKEND_PIE=y", "CONFIG_PIENN_BACKEND_REFERENCE=y")
    text = text.replace("# CONFIG_PIENN_BACKEND_REFERENCE is not set\n", "")
    (idf.folder / "sdkconfig").write_text(text)
    idf.run("reconfigure")
    assert not [source for source in compiled(idf.folder, copy)[0] if source.startswith("src_asm")]


def compiled(project: Path, component: Path) -> tuple[set[str], dict[str, set[str]]]:
    """The component's sources, and the flags for the chip (-m...) that its and all other C files have."""
    sources: set[str] = set()
    flags: dict[str, set[str]] = {"ours": set(), "others": set()}
    for entry in json.loads((project / "build/compile_commands.json").read_text()):
        path, ours = Path(entry["file"]), Path(entry["file"]).is_relative_to(component)
        if ours:
            sources.add(path.relative_to(component).as_posix())
        if path.suffix == ".c" and (ours or "/esp_system/" in entry["file"]):
            flags["ours" if ours else "others"] |= set(re.findall(r"(?<=\s)-m\S+", entry["command"]))
    return sources, flags
