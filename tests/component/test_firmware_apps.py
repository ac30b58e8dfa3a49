"""The test apps as ESP-IDF projects: ESP-IDF's own Unity and linux target run the cases of the other devices.

IDF_PATH names ESP-IDF, IDF_PYTHON_ENV_PATH its Python environment (as export.sh sets them).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

APPS = ("kernels", "models", "bench")
CASES = {"kernels": 90, "models": 4}  # at least


@pytest.mark.parametrize("app", APPS)
def test_every_app_is_a_project_for_every_target(checkout: Path, app: str) -> None:
    folder = checkout / "test_apps" / app
    names = ["CMakeLists.txt", "main/CMakeLists.txt", "main/idf_component.yml", "sdkconfig.defaults"]
    names += [f"sdkconfig.defaults.{chip}" for chip in ("esp32p4", "esp32s3")]
    assert [name for name in names if not (folder / name).is_file()] == []
    assert (folder / "main" / "../../..").resolve() == checkout  # where the manifest finds the component
    text = (folder / f"pytest_{app}.py").read_text()
    assert all(f"mark.{marker}" in text for marker in ("host_test", "simulator", "qemu"))


@pytest.mark.skipif("IDF_PATH" not in os.environ, reason="no ESP-IDF: IDF_PATH is not set")
@pytest.mark.parametrize("app", list(CASES))
def test_esp_idf_builds_and_runs_an_app_for_linux(checkout: Path, app: str, tmp_path: Path) -> None:
    idf = Path(os.environ["IDF_PATH"])
    if not (idf / "components" / "unity" / "unity" / "src").is_dir():
        pytest.skip("this ESP-IDF has no Unity: git submodule update --init components/unity/unity")
    component = tmp_path / "pienn"
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "build_*", "__pycache__")
    shutil.copytree(checkout, component, ignore=ignored)
    python = Path(os.environ.get("IDF_PYTHON_ENV_PATH", sys.prefix)) / "bin" / "python"
    environment = {**os.environ, "PIENN_PYTHON": sys.executable, "IDF_COMPONENT_CHECK_NEW_VERSION": "0"}
    command = [str(python), str(idf / "tools" / "idf.py"), "-C", str(component / "test_apps" / app)]
    command += ["--preview", "set-target", "linux", "build"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]

    report = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "pytest", app, "-m", "host_test", "--embedded-services", "idf"]
    done = subprocess.run(
        [*command, "--junitxml", str(report)],
        cwd=component / "test_apps", capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) >= CASES[app]
    assert not [case for case in cases if case.find("failure") is not None]
