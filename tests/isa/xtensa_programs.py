"""Random Xtensa programs for comparing assemblers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pienn.isa import Instruction, Isa

COMMON = (
    "add a3, a3, a4", "addi a5, a5, 1", "addi a5, a5, 100", "mov a4, a5", "l32i a6, a7, 4", "s32i a6, a7, 8",
    "movi a3, 5", "movi a3, 300", "nop", "add.n a3, a3, a4", "sub a3, a3, a4", "l8ui a3, a4, 5", "addmi a3, a4, 512",
)  # fmt: skip
EXPANDED = (
    "movi a4, 0x123456",
    "addi a5, a6, 1000",
    "srli a3, a4, 20",
    "l32i a3, a4, 2000",
    "slli a4, a5, 0",
)
PIE = ("ee.vld.128.ip q0, a2, 16", "ee.vmulas.s8.qacc.ld.ip q1, a3, 16, q0, q1")
BRANCHES = ("beqz a{0}, {1}", "bnez a{0}, {1}", "beqi a{0}, 1, {1}", "bne a{0}, a5, {1}", "bltu a{0}, a5, {1}",
            "bbsi a{0}, 3, {1}", "beqi a{0}, 0, {1}", "bgez a{0}, {1}", "ball a{0}, a4, {1}")  # fmt: skip


@dataclass(frozen=True)
class Flavour:
    """Which part of the core a program may use."""

    straight: tuple[Instruction, ...]
    common: tuple[str, ...]
    branches: tuple[str, ...]
    call: str
    loops: bool


def full(isa: Isa) -> Flavour:
    """Everything that the ESP32-S3 has."""
    extensions = ("core", "density", "pie", "misc", "mul32", "boolean", "fpu", "mac16")
    return Flavour(
        _straight(isa, extensions, ()),
        COMMON + PIE,
        (*BRANCHES, "bt b{0}, {1}"),
        "call8",
        True,
    )


def small(isa: Isa) -> Flavour:
    """What a core without windows, loops, booleans and floats has as well."""
    skipped = (
        "s32nb",
        "salt",
        "saltu",
        "rsr.memctl",
        "wsr.memctl",
        "xsr.memctl",
        "simcall",
    )
    prefixes = ("rsr.", "wsr.", "xsr.", "rur.", "wur.")
    chosen = _straight(isa, ("core", "density", "mul16"), skipped)
    chosen = tuple(i for i in chosen if not i.mnemonic.startswith(prefixes))
    return Flavour(chosen, COMMON, BRANCHES, "call0", False)


def _straight(isa: Isa, extensions: tuple[str, ...], skipped: tuple[str, ...]) -> tuple[Instruction, ...]:
    return tuple(
        i
        for i in isa.instructions.values()
        if i.extension in extensions
        and not i.flow
        and not any(o.kind == "pcrel" for o in i.operands)
        and i.mnemonic not in (*skipped, "excw", "wsr.mmid")
    )


def random_statement(instruction: Instruction, generator: random.Random) -> str:
    """The instruction with random allowed operands."""
    while True:
        values = [generator.choice([v for v in o.all_values() if o.allows(v)]) for o in instruction.operands]
        written = [
            (o.kind, v)
            for o, v in zip(instruction.operands, values, strict=True)
            if o.is_register and "w" in o.access
        ]
        too_wide = instruction.mnemonic == "extui" and values[2] + values[3] > 32
        if len(set(written)) == len(written) and not too_wide:
            break
    texts = [
        (o.kind if o.is_register else "") + str(v) for o, v in zip(instruction.operands, values, strict=True)
    ]
    return f"{instruction.mnemonic} {', '.join(texts)}".strip()


class Program:
    """A program with labels, branches, jumps, calls, loops, data and alignment; `far` adds long distances."""

    def __init__(self, flavour: Flavour, seed: int, statements: int, far: bool) -> None:
        self.flavour = flavour
        self.random = random.Random(seed)
        self.far = far
        self.lines = [" .text", " .align 4", "f:"]
        if flavour.loops:
            self.lines.append(" entry a1, 32")
        self.count = 0
        self.wanted: list[str] = []
        self.defined: list[str] = []
        for _ in range(statements):
            self.statement()
        while self.wanted:
            self.lines.append(f"{self.wanted.pop()}:")
            if self.random.random() < 0.5:
                self.instruction()
        self.lines.append(" ret")

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def instruction(self) -> None:
        chance = self.random.random()
        if chance < 0.7:
            text = self.random.choice(self.flavour.common)
        elif chance < 0.8:
            text = self.random.choice(EXPANDED)
        else:
            text = random_statement(self.random.choice(self.flavour.straight), self.random)
        self.lines.append(f" {text}")

    def new_label(self) -> str:
        self.count += 1
        return f"L{self.count}"

    def target(self) -> str:
        chance = self.random.random()
        if self.defined and chance < 0.4:
            return self.random.choice(self.defined)
        if self.wanted and chance < 0.6:
            return self.random.choice(self.wanted)
        self.wanted.append(self.new_label())
        return self.wanted[-1]

    def branch(self, target: str) -> None:
        pattern = self.random.choice(self.flavour.branches)
        self.lines.append(" " + pattern.format(self.random.randrange(2, 16), target))

    def loop(self) -> None:
        self.count += 1
        end = f".Lend{self.count}"
        kind = self.random.choice(("loop", "loopnez"))
        self.lines.append(f" {kind} a{self.random.randrange(2, 12)}, {end}")
        sizes = (1, 2, 3, 5, 10, 20, 120) if self.far else (1, 2, 3, 5, 10, 20)
        for _ in range(self.random.choice(sizes)):
            chance = self.random.random()
            if chance < 0.85:
                self.instruction()
            elif chance < 0.9:
                self.defined.append(self.new_label())
                self.lines.append(f"{self.defined[-1]}:")
            else:
                self.branch(end)
        self.lines += [
            self.random.choice((" ee.zero.q q0", " add a3, a3, a4")),
            f"{end}:",
        ]

    def statement(self) -> None:
        generator = self.random
        chance = generator.random()
        if chance < 0.55:
            self.instruction()
        elif chance < 0.65:
            self.defined.append(self.new_label())
            self.lines.append(f"{self.defined[-1]}:")
            if self.wanted and generator.random() < 0.7:
                self.lines.append(f"{self.wanted.pop(generator.randrange(len(self.wanted)))}:")
        elif chance < 0.75:
            self.branch(self.target())
        elif chance < 0.79:
            self.lines.append(f" j {self.target()}")
        elif chance < 0.82:
            self.lines.append(f" {self.flavour.call} {generator.choice(('f', 'elsewhere'))}")
        elif chance < 0.88 and self.flavour.loops:
            self.loop()
        elif chance < 0.90:
            self.lines.append(f" .align {generator.choice((4, 8, 16))}")
        elif chance < 0.92:
            numbers = ", ".join(str(generator.randrange(256)) for _ in range(generator.randrange(1, 8)))
            self.lines += [
                f" .byte {numbers}",
                " .align 4" if generator.random() < 0.5 else " nop",
            ]
        elif chance < 0.94:
            self.lines.append(generator.choice((" ret", " jx a3")))
        elif chance < 0.95:
            self.lines.append(f" _{generator.choice(self.flavour.common)}")
        elif chance < 0.96:
            plain = generator.choice(self.flavour.common)
            self.lines += [" .begin no-transform", f" {plain}", " .end no-transform"]
        elif chance < 0.97 and self.far:
            for _ in range(generator.choice((20, 50, 300, 800))):
                self.instruction()
