"""Stops of a run as exceptions whose message names the place, the reason and the remedy."""

from __future__ import annotations

from pienn.errors import PiennError
from pienn.sim.native import Stop

_REASONS = {
    Stop.LIMIT: "did not finish within the instruction limit: raise it, or look for an endless loop",
    Stop.UNKNOWN_INSTRUCTION: "no instruction of this chip and revision has the bytes at {pc:#x}",
    Stop.UNIMPLEMENTED: "the simulator gives the instruction at {pc:#x} no meaning",
    Stop.FETCH: "execution reached {address:#x}, which holds no code",
    Stop.UNMAPPED: "access to {where}, where the chip has no memory",
    Stop.READ_ONLY: "store to {where}, which is constant",
    Stop.UNDECLARED: "access outside the declared buffers, at {where}",
    Stop.UNWRITTEN: "read of a byte that was never written, at {where}",
    Stop.MISALIGNED: "access at {where} is not aligned as the chip demands it",
    Stop.WATCHPOINT: "watched byte at {where} accessed",
    Stop.PIE_UNINITIALISED: "PIE register {register} is read before it was written",
    Stop.PIE_DISABLED: "coprocessor instruction where the chip forbids it (interrupt handler, or not enabled)",
    Stop.CSR: "control register {address:#x} may not be used here",
    Stop.LOOP_RULE: "hardware loop breaks the published rules (setup and last instruction 4-byte aligned, "
    "last one neither PIE nor FPU, count 1..4095): end {address:#x}",
    Stop.SEMIHOST: "the program asks the host for a service",
    Stop.SYSCALL: "system call",
    Stop.BREAK: "break instruction",
    Stop.EXCEPTION: "exception {address} without a handler",
    Stop.BREAKPOINT: "breakpoint",
    Stop.RETURNED: "returned",
    Stop.NONE: "not started",
}


class SimulationStop(PiennError):
    """A run ended before its end. `reason`, `pc` and `address` are those of the machine."""

    def __init__(
        self, reason: Stop, pc: int, address: int, place: str, where: str, register: str = ""
    ) -> None:
        self.reason = reason
        self.pc = pc
        self.address = address
        text = _REASONS[reason].format(pc=pc, address=address, where=where, register=register)
        super().__init__(f"{place}: {text}")


class Clobbered(PiennError):
    """A called function changed registers that belong to its caller."""

    def __init__(self, function: str, names: list[str]) -> None:
        self.names = names
        super().__init__(
            f"{function}: did not restore {', '.join(names)}: save and restore what the ABI keeps"
        )
