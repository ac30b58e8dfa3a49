"""Simulated chips and host programs as devices of pytest-embedded: results, stops, restarts, junit cases."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from queue import Queue

import pytest

from pienn.sim import compile_esp32p4
from pienn.sim.embedded import Device, unfinished_case

STOPPED = """Running first...
a.c:3:first:PASS
1 Tests 0 Failures 0 Ignored
OK
Running second: 3x3...
error: src_asm/esp32p4/add_s8.S:31: access to 0x10, where the chip has no memory
"""
CASES = """#include "unity.h"
void app_main(void) { unity_run_menu(); }
TEST_CASE("adds", "[good]") { TEST_ASSERT_EQUAL_INT(4, 2 + 2); }
TEST_CASE("compares", "[bad]") { TEST_ASSERT_EQUAL_INT(5, 2 + 2); }
TEST_CASE("stops", "[bad]") {
    *(volatile int *)16 = 0;
}
TEST_CASE("never ends", "[slow]") { for (volatile int i = 0;; i++) {} }
TEST_CASE("runs after a restart", "[good]") { TEST_ASSERT(1); }
TEST_CASE("is left out", "[good]") { TEST_IGNORE_MESSAGE("not today"); }
"""
TESTS = """import pytest

@pytest.mark.simulator
@pytest.mark.parametrize("target", ["esp32p4"], indirect=True)
def test_all(dut):
    dut.run_all_single_board_cases(timeout=TIMEOUT, group=GROUP)
"""


def test_a_stop_becomes_a_failure_of_the_running_case() -> None:
    lines = unfinished_case(STOPPED, "app.elf", 1)
    assert lines is not None
    assert lines.startswith(
        "\nsrc_asm/esp32p4/add_s8.S:31:second: 3x3:FAIL:access to 0x10, where the chip has no memory\n"
    )
    assert "1 Tests 1 Failures 0 Ignored" in lines


def test_an_end_between_cases_is_no_failure() -> None:
    assert unfinished_case(STOPPED.partition("Running second")[0], "app.elf", 0) is None
    assert unfinished_case("", "app.elf", 1) is None


@pytest.mark.parametrize(("code", "words"), [(3, "exit code 3"), (-11, "signal 11")])
def test_a_program_that_ends_within_a_case_is_named(code: int, words: str) -> None:
    lines = unfinished_case("Running one...\n", "build/app", code)
    assert lines is not None and "build/app:0:one:FAIL" in lines and words in lines


def test_a_device_starts_again_only_where_it_must() -> None:
    program = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print('said', line, flush=True)"
    device = Device([sys.executable, "-c", program], Queue())
    first = device.process
    device.reset()
    assert device.process is first
    device.text += "Running forever...\n"
    device.reset()
    assert device.process is not first and device.is_ready
    device.close()


@pytest.fixture
def app(checkout: Path, tool, tmp_path: Path) -> Path:
    """A folder with a test of a program for the simulated ESP32-P4."""
    tool(compile_esp32p4.COMPILER)
    unity = checkout / "test_apps" / "unity"
    (tmp_path / "cases.c").write_text(CASES)
    sources = [tmp_path / "cases.c", unity / "unity.c", unity / "main.c"]
    (tmp_path / "app.elf").write_bytes(compile_esp32p4.build_program(sources, ["-O1", f"-I{unity}"]))
    (tmp_path / "pytest.ini").write_text("[pytest]\njunit_family = xunit1\n")
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\nfrom pienn.sim import embedded\n"
        "embedded.built = lambda app, *_: Path(app) / 'app.elf'\n"
    )
    return tmp_path


def junit_cases(app: Path, group: str, timeout: int) -> dict[str, ElementTree.Element]:
    text = TESTS.replace("TIMEOUT", str(timeout)).replace("GROUP", repr(group))
    (app / "test_cases.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml", "junit.xml", "test_cases.py"]
    done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode == 0) == (group == "good"), done.stdout
    return {case.get("name", ""): case for case in ElementTree.parse(app / "junit.xml").iter("testcase")}


def test_every_case_is_one_of_junit(app: Path) -> None:
    cases = junit_cases(app, "good", 30)
    assert list(cases) == ["adds", "runs after a restart", "is left out"]
    assert all(case.find("failure") is None for case in cases.values())


def test_failures_name_file_and_line(app: Path) -> None:
    cases = junit_cases(app, "bad", 30)
    compares, stops = cases["compares"], cases["stops"]
    assert (compares.get("file"), compares.get("line")) == (str(app / "cases.c"), "4")
    assert (stops.get("file"), stops.get("line")) == (str(app / "cases.c"), "6")
    failures = compares.find("failure"), stops.find("failure")
    assert all(failure is not None for failure in failures)
    assert "Expected 5 Was 4" in failures[0].get("message")  # pyright: ignore[reportOptionalMemberAccess]
    assert "where the chip has no memory" in failures[1].get("message")  # pyright: ignore[reportOptionalMemberAccess]


def test_a_case_that_never_ends_fails_at_its_timeout(app: Path) -> None:
    cases = junit_cases(app, "slow", 3)
    assert cases["never ends"].find("failure") is not None
