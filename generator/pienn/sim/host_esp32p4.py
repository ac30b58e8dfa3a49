"""What the host does for a RISC-V program: Arm-style semihosting (picolibc) and a few Linux system calls."""

from __future__ import annotations

import errno
import struct
import time
from typing import TYPE_CHECKING

from pienn.sim.native import Stop

if TYPE_CHECKING:
    from pienn.sim.machine import Machine
    from pienn.sim.programs import Console

# Operation numbers: Arm Semihosting 2.0, used by the RISC-V semihosting specification.
OPEN, CLOSE, WRITE_CHARACTER, WRITE_STRING, WRITE, READ, READ_CHARACTER = 1, 2, 3, 4, 5, 6, 7
IS_ERROR, IS_TTY, SEEK, FILE_LENGTH = 8, 9, 10, 12
CLOCK, TIME, ERROR_NUMBER, COMMAND_LINE, HEAP_INFO = 0x10, 0x11, 0x13, 0x15, 0x16
EXIT, EXIT_EXTENDED, ELAPSED, TICK_FREQUENCY = 0x18, 0x20, 0x30, 0x31
APPLICATION_EXIT = 0x20026
CONSOLE_HANDLE, FEATURES_HANDLE = 1, 2
FEATURES = b"SHFB\x03"  # exit with a code; separate stdout and stderr
MINUS_ONE = 0xFFFF_FFFF

LINUX_WRITE, LINUX_EXIT, LINUX_EXIT_GROUP = 64, 93, 94
CALL_BYTES = 4  # ebreak or ecall between the 32-bit shifts


class Host:
    """Serves one program; no file of the host is ever touched, only the console."""

    def __init__(self, machine: Machine, console: Console) -> None:
        self.machine = machine
        self.console = console

    def serve(self, reason: Stop) -> int | None:
        """Do what the program asks for and move on; its exit code when it ends."""
        x = self.machine.state("x")
        if reason == Stop.SYSCALL:
            code, result = self._system_call(int(x[17]), int(x[10]), int(x[11]), int(x[12]))
        else:
            code, result = self._semihost(int(x[10]), int(x[11]))
        x[10] = result & 0xFFFF_FFFF
        self.machine.pc += CALL_BYTES
        return code

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.machine.read(address, 4 * count))

    def _semihost(self, operation: int, parameter: int) -> tuple[int | None, int]:
        if operation == WRITE_CHARACTER:
            self.console.write(self.machine.read(parameter, 1))
            return None, 0
        if operation == WRITE_STRING:
            self.console.write(self._string(parameter))
            return None, 0
        if operation == WRITE:
            _, address, size = self._words(parameter, 3)
            self.console.write(self.machine.read(address, size))
            return None, 0  # bytes not written
        if operation == READ:
            handle, address, size = self._words(parameter, 3)
            data = FEATURES[:size] if handle == FEATURES_HANDLE else self.console.read(size)
            self.machine.write(address, data)
            return None, size - len(data)
        if operation == READ_CHARACTER:
            data = self.console.read(1)
            return None, data[0] if data else MINUS_ONE
        if operation == OPEN:
            return None, self._open(*self._words(parameter, 3))
        if operation == EXIT:
            return 0 if parameter == APPLICATION_EXIT else 1, 0
        if operation == EXIT_EXTENDED:
            reason, code = self._words(parameter, 2)
            return code & 0xFF if reason == APPLICATION_EXIT else 1, 0
        if operation == CLOCK:
            return None, self.machine.cycles // 10_000
        if operation == TIME:
            return None, int(time.time())
        if operation == ELAPSED:
            self.machine.write(parameter, struct.pack("<Q", self.machine.cycles))
            return None, 0
        if operation == FILE_LENGTH:
            handle = self._words(parameter, 1)[0]
            return None, len(FEATURES) if handle == FEATURES_HANDLE else 0
        if operation in (CLOSE, IS_ERROR):
            return None, 0
        if operation == IS_TTY:
            return None, 1
        if operation == ERROR_NUMBER:
            return None, errno.ENOENT
        if operation == TICK_FREQUENCY:
            return None, 1_000_000
        return None, MINUS_ONE  # SEEK, COMMAND_LINE, HEAP_INFO and what we do not know: refused

    def _open(self, address: int, _mode: int, length: int) -> int:
        name = self.machine.read(address, length)
        if name == b":semihosting-features":
            return FEATURES_HANDLE
        return CONSOLE_HANDLE if name == b":tt" else MINUS_ONE

    def _system_call(self, number: int, first: int, second: int, third: int) -> tuple[int | None, int]:
        if number == LINUX_WRITE and first in (1, 2):
            self.console.write(self.machine.read(second, third))
            return None, third
        if number in (LINUX_EXIT, LINUX_EXIT_GROUP):
            return first & 0xFF, 0
        return None, -errno.ENOSYS

    def _string(self, address: int) -> bytes:
        text = bytearray()
        while (byte := self.machine.read(address + len(text), 1)) != b"\0":
            text += byte
        return bytes(text)
