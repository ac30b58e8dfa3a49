"""Random trees of windowed calls for the ESP32-S3, executed by qemu-xtensa and by the simulator.

Every function fills the registers that its call keeps, calls deeper functions by call4, call8 or call12 and mixes what
it kept into its result. What is compared is the result and the whole stack: windows spilled at another moment, or to
another place, show there.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from esp32s3_random import BASE, HEADER, ISA, STDOUT, WRITE, encode

START = BASE + HEADER
STACK = 16384
CHUNK = 4 + STACK  # result, stack


@dataclass
class Calls:
    """The code at START, and where its output (result and stack) lies in it."""

    code: bytes
    output_at: int
    seed: int

    @property
    def size(self) -> int:
        return CHUNK


class _Writer:
    """Code at addresses that are known as it grows; calls to later functions are filled in at the end."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.fixups: list[tuple[int, str, int]] = []

    @property
    def pc(self) -> int:
        return START + len(self.code)

    def put(self, mnemonic: str, *values: int) -> None:
        names = [o.name for o in ISA[mnemonic].operands]
        self.code += ISA.encode(mnemonic, dict(zip(names, values, strict=True)), pc=self.pc)

    def align(self) -> None:
        self.code += bytes(-len(self.code) % 4)

    def load(self, register: int, literal_at: int) -> None:
        self.put("l32r", register, START + literal_at - self.pc)

    def call(self, mnemonic: str, function: int) -> None:
        self.fixups.append((len(self.code), mnemonic, function))
        self.code += bytes(3)


def _function(w: _Writer, rng: random.Random, number: int, last: int) -> None:
    w.put("entry", 1, rng.choice((48, 64, 80)))
    w.put("add", 2, 2, 3)
    for callee in [] if number == last else _callees(rng, number, last):
        panes = rng.choice((1, 2, 2, 3))
        kept = list(range(3, 4 * panes))
        for register in kept[1:] if panes > 1 else []:
            w.put(
                rng.choice(("add", "xor", "addx2", "sub")),
                register,
                rng.choice((2, 3)),
                rng.choice((2, 3)),
            )
            w.put("addi", register, register, rng.randrange(-128, 128))
        if rng.random() < 0.4:
            w.load(4 * panes, 4 + 4 * callee)
            w.put("mov.n", 4 * panes + 3, 2)
            w.put("addi", 4 * panes + 2, 3, number)
            w.put(f"callx{4 * panes}", 4 * panes)
        else:
            w.put("mov.n", 4 * panes + 2, 2)
            w.put("addi", 4 * panes + 3, 3, number)
            w.call(f"call{4 * panes}", callee)
        for register in [*kept, 4 * panes + 2]:
            w.put(rng.choice(("add", "xor", "addx2")), 2, 2, register)
    for _ in range(rng.randrange(3)):  # touch a register that may still belong to an older frame
        register = rng.randrange(4, 16)
        w.put("addi", register, 2, 1)
        w.put("add", 2, 2, register)
    w.put(rng.choice(("retw", "retw.n")))


def _callees(rng: random.Random, number: int, last: int) -> list[int]:
    callees = [number + 1]
    if rng.random() < 0.25:
        callees.append(min(last, number + rng.randrange(2, 9)))
    return callees


def make_calls(seed: int, functions: int = 24) -> Calls:
    """A program whose first function reaches a depth of `functions` frames (the register file holds 5 to 16)."""
    rng = random.Random(seed)
    w = _Writer()
    literals = 4  # addresses of the functions, stack pointer, output, its size
    w.code += encode("j", soffset=literals + 4 * (functions + 3)).ljust(literals, b"\0") + bytes(
        4 * (functions + 3)
    )
    stack_literal = literals + 4 * functions
    w.load(1, stack_literal)
    w.put("addi", 2, 1, 64)
    w.put("addi", 3, 1, -16)
    w.put("s32i", 2, 3, 4)  # the caller's stack pointer, where an overflow of the first frame looks for it
    w.put("movi", 10, rng.randrange(-2048, 2048))
    w.put("movi", 11, rng.randrange(-2048, 2048))
    w.call("call8", 0)
    w.load(3, stack_literal + 4)
    w.put("s32i", 10, 3, 0)
    w.load(4, stack_literal + 8)
    w.put("movi", 2, WRITE)
    w.put("movi", 6, STDOUT)
    w.put("syscall")
    w.put("movi", 2, 118)
    w.put("movi", 6, 0)
    w.put("syscall")
    starts: list[int] = []
    for number in range(functions):
        w.align()
        starts.append(w.pc)
        _function(w, rng, number, functions - 1)
    w.align()
    output_at = len(w.code)
    for at, mnemonic, function in w.fixups:
        w.code[at : at + 3] = ISA.encode(
            mnemonic, {"soffsetx4": starts[function] - START - at}, pc=START + at
        )
    stack = START + output_at + CHUNK - 128 & ~15
    struct.pack_into(f"<{functions + 3}I", w.code, literals, *starts, stack, START + output_at, CHUNK)
    return Calls(bytes(w.code) + bytes(CHUNK + 64), output_at, seed)
