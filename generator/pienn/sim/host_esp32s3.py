"""What the host does for an Xtensa program: the `simcall` convention of Xtensa's instruction set simulator."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pienn.sim.native import Stop

if TYPE_CHECKING:
    from pienn.sim.machine import Machine
    from pienn.sim.programs import Console

# The number is in a2, the arguments in a3.. ; the result goes to a2, the error number to a3. Numbers and registers:
# libgloss/xtensa/syscalls.c and sim's crt of newlib, used by QEMU's `-semihosting` as well.
EXIT, READ, WRITE, OPEN, CLOSE, SEEK = 1, 3, 4, 5, 6, 19
SELECT, ARGUMENT_COUNT, ARGUMENT_SIZE, ARGUMENTS = 29, 1000, 1001, 1002
CONSOLE = (0, 1, 2)
LINUX_WRITE, LINUX_EXIT, LINUX_EXIT_GROUP = 13, 118, 119
CALL_BYTES = 3  # simcall and syscall
MINUS_ONE = 0xFFFF_FFFF


class Host:
    """Serves one program; no file of the host is ever touched, only the console."""

    def __init__(self, machine: Machine, console: Console) -> None:
        self.machine = machine
        self.console = console

    def serve(self, reason: Stop) -> int | None:
        """Do what the program asks for and move on; its exit code when it ends."""
        a = self.machine.state("a")
        number, first, second, third = (int(a[i]) for i in (2, 3, 4, 5))
        if reason == Stop.SYSCALL:
            code, result, error = self._system_call(number, int(a[6]), first, second)
        else:
            code, result, error = self._simcall(number, first, second, third)
            a[3] = error
        a[2] = result & 0xFFFF_FFFF
        self.machine.pc += CALL_BYTES
        return code

    def _simcall(self, number: int, first: int, second: int, third: int) -> tuple[int | None, int, int]:
        if number == EXIT:
            return first & 0xFF, 0, 0
        if number == WRITE and first in CONSOLE:
            self.console.write(self.machine.read(second, third))
            return None, third, 0
        if number == READ and first in CONSOLE:
            data = self.console.read(third)
            self.machine.write(second, data)
            return None, len(data), 0
        if number == CLOSE and first in CONSOLE:
            return None, 0, 0
        if number == SELECT:
            return None, 1, 0
        if number in (ARGUMENT_COUNT, ARGUMENT_SIZE):
            return None, 0 if number == ARGUMENT_COUNT else 4, 0
        if number == ARGUMENTS:
            self.machine.write(first, bytes(4))
            return None, 0, 0
        if number == OPEN:
            return None, MINUS_ONE, errno.ENOENT
        return None, MINUS_ONE, errno.ENOSYS  # SEEK and what we do not know

    def _system_call(self, number: int, first: int, second: int, third: int) -> tuple[int | None, int, int]:
        if number == LINUX_WRITE and first in CONSOLE:
            self.console.write(self.machine.read(second, third))
            return None, third, 0
        if number in (LINUX_EXIT, LINUX_EXIT_GROUP):
            return first & 0xFF, 0, 0
        return None, -errno.ENOSYS, 0
