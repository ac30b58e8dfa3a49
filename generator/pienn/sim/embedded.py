"""Devices under test of pytest-embedded that are programs of this machine: the simulator with an app, or the app.

The program's console is that of the device. Where it ends in the middle of a case, because the simulator stops at a
wrong access or an unknown instruction, the case fails at once with that line of the source and the reason.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pytest_embedded.dut import Dut  # pyright: ignore[reportMissingImports]
from pytest_embedded_idf.unity_tester import IdfUnityDutMixin  # pyright: ignore[reportMissingImports]

from pienn.errors import PiennError

CHIPS = ("esp32p4", "esp32s3")
CHUNK = 4096
ANSWER_SECONDS = 30  # for a command; a busy machine is slow, and a command said twice would run twice
STARTED = re.compile(r"Running ([^\n]*)\.\.\.\r?\n")
ENDED = re.compile(r"\d+ Tests \d+ Failures \d+ Ignored")
STOP = re.compile(r"^error: (?P<file>[^\n]*?):(?P<line>\d+)(?::\d+)?: (?P<reason>[^\n]*)", re.MULTILINE)
SUMMARY = "\n-----------------------\n1 Tests 1 Failures 0 Ignored \nFAIL\n"


def unfinished_case(text: str, program: str, code: int) -> str | None:
    """Unity's lines for the case during which a program ended; None where no case was running.

    text: what the program has printed, with the simulator's last words; code: its exit code.
    """
    started = list(STARTED.finditer(text))
    if not started or ENDED.search(text, started[-1].end()):
        return None
    rest = text[started[-1].end() :]
    if stop := STOP.search(rest):
        file, line, reason = stop["file"], stop["line"], stop["reason"]
    else:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        words = re.findall(r"^error: (.*)$", rest, re.MULTILINE)
        file, line, reason = program, "0", words[-1] if words else f"the program {how}"
    return f"\n{file}:{line}:{started[-1][1]}:FAIL:{reason}\n{SUMMARY}"


class Device:
    """A running program whose console goes to `queue`; starts again when it is reset."""

    def __init__(self, command: Sequence[str], queue: Any) -> None:
        self.command, self.queue = list(command), queue
        self.start()

    def start(self) -> None:
        self.text = ""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self.reader = threading.Thread(target=self._forward, args=(self.process,), daemon=True)
        self.reader.start()

    def _forward(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), CHUNK):
            self.text += data.decode("utf-8", "replace")
            self.queue.put(data)
        lines = unfinished_case(self.text, self.command[-1], process.wait())
        if lines and process is self.process:
            self.queue.put(lines.encode())

    @property
    def is_ready(self) -> bool:
        """Whether the program waits for a command."""
        started = [found.end() for found in STARTED.finditer(self.text)]
        return self.process.poll() is None and (not started or bool(ENDED.search(self.text, started[-1])))

    def write(self, command: str) -> None:
        """A line on the program's stdin; nobody reads it where the program has ended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(command.strip("\n").encode() + b"\n")

    def reset(self) -> None:
        """Bring the program to its prompt; one that is stuck or has ended starts again."""
        if self.is_ready:
            self.write("")
        else:
            self.close()
            self.start()

    def close(self) -> None:
        process, self.text = self.process, ""
        process.kill()
        process.wait()
        self.reader.join()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


class DeviceDut(IdfUnityDutMixin, Dut):
    """The ordinary `dut`: expect, write, run_all_single_board_cases, one junit case per Unity case."""

    def __init__(self, device: Device, **given: Any) -> None:
        super().__init__(**given)
        self.device = device
        self._hard_reset_func = device.reset

    def write(self, s: str | bytes) -> None:
        self.device.write(s.decode() if isinstance(s, bytes) else s)

    def confirm_write(self, write_str: Any, **given: Any) -> Any:
        return super().confirm_write(write_str, **{**given, "timeout": ANSWER_SECONDS, "retry_times": 1})

    def close(self) -> None:
        self.device.close()
        super().close()


def built(app: Path, target: str, revision: str | None = None) -> Path:
    """The app's program for this machine or a simulated chip, built by CMake where it is not up to date."""
    folder = app / f"build_{'host' if target == 'linux' else 'simulator_' + target}"
    environment = {name: value for name, value in os.environ.items() if name != "IDF_PATH"}
    options = [] if target == "linux" else [f"-DPIENN_SIMULATOR={target}"]
    if revision:
        folder = folder.with_name(f"{folder.name}_revision_{revision}")
        options.append(f"-DPIENN_REVISION={revision}")
    commands = [
        ["cmake", "-S", str(app), "-B", str(folder), f"-DPIENN_PYTHON={sys.executable}", *options],
        ["cmake", "--build", str(folder)],
    ]
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        for command in commands:
            try:
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
            except FileNotFoundError as error:
                raise PiennError(f"{app}: building it needs CMake: install cmake") from error
            if done.returncode:
                pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    program = folder / (app.name if target == "linux" else f"{app.name}.elf")
    if not program.is_file():
        raise PiennError(f"{program}: the app's CMakeLists.txt did not make it")
    return program


def simulator_command(program: Path, target: str, revision: str | None, memory: str) -> list[str]:
    """`pienn sim run` of the interpreter that runs pytest."""
    options = ["--target", target, "--memory", memory, *(["--revision", revision] if revision else [])]
    return [sys.executable, "-m", "pienn", "sim", "run", *options, str(program)]


@pytest.fixture
def dut(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A simulated chip for tests marked `simulator`, a program of this machine for `host_test`; else the board's."""
    services = request.config.getoption("embedded_services") or ""
    on_simulator = request.node.get_closest_marker("simulator") is not None
    on_host = request.node.get_closest_marker("host_test") is not None and "idf" not in services
    if not (on_simulator or on_host):
        yield request.getfixturevalue("dut")
        return
    target = "linux" if on_host else request.getfixturevalue("target")
    if on_simulator and target not in CHIPS:
        pytest.fail(f"the simulator has {' and '.join(CHIPS)}: name one with --target, not {target}")
    app = request.getfixturevalue("app")
    option = request.config.getoption
    revision = option("--pienn-revision") if target == "esp32p4" else None
    program = built(Path(app.app_path), target, revision)
    command = [str(program)]
    if on_simulator:
        command = simulator_command(program, target, revision, str(option("--pienn-memory")))
    fixtures = ("pexpect_proc", "msg_queue", "test_case_name")
    given = {name: request.getfixturevalue(name) for name in fixtures}
    given |= {"pexpect_logfile": request.getfixturevalue("_pexpect_logfile")}
    given |= {"meta": request.getfixturevalue("_meta"), "app": app}
    device = Device(command, given["msg_queue"])
    one = DeviceDut(device, **given)
    try:
        yield one
    finally:
        one.close()
