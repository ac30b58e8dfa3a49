"""Other ways to write an Xtensa instruction: shorter, longer, farther, through a literal.

The rules are those of GNU as (its manual, section "Xtensa Relaxation"). Mnemonics beginning with `_`, and
everything between `.begin no-transform` and `.end no-transform`, are exempt; the caller sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pienn.isa.expressions import Expression, Number
from pienn.isa.table import Instruction, Isa

INVERSE = {
    a: b
    for pair in (
        "beqz bnez", "beqz.n bnez.n", "bgez bltz", "beqi bnei", "bgei blti", "bgeui bltui", "bbci bbsi", "beq bne",
        "bge blt", "bgeu bltu", "bany bnone", "ball bnall", "bbc bbs", "bt bf",
    )
    for a, b in (pair.split(), reversed(pair.split()))
}  # fmt: skip

WIDER = {
    "add.n": "add", "addi.n": "addi", "beqz.n": "beqz", "bnez.n": "bnez", "l32i.n": "l32i", "mov.n": "or",
    "movi.n": "movi", "nop.n": "nop", "ret.n": "ret", "retw.n": "retw", "s32i.n": "s32i",
}  # fmt: skip

NARROWER = {wide: narrow for narrow, wide in WIDER.items() if wide not in ("or", "addi")}

COMPARE_WITH_ZERO = {"beqi": "beqz", "bnei": "bnez", "bgei": "bgez", "blti": "bltz"}

LOOPS = {"loop": 0, "loopnez": 3, "loopgtz": 6}
"""Offset of the loop instruction in its long form."""

NOT_LAST_IN_LOOP = frozenset(
    "call0 callx0 call4 callx4 call8 callx8 call12 callx12 isync ret ret.n retw retw.n waiti rsr.lcount".split()
)
"""Instructions after which the hardware does not notice the end of a loop."""

CALLS = {"call0": "a0", "call4": "a4", "call8": "a8", "call12": "a12"}


@dataclass(frozen=True)
class Machine:
    """One machine instruction. At most one operand is an expression: `place`, for the operand `open_operand`.

    `distance` replaces the expression where the target is inside the same group of instructions. `spare` is the
    register that `j.l` may use for a far jump.
    """

    instruction: Instruction
    values: dict[str, int]
    open_operand: str | None = None
    place: Expression | None = None
    distance: int | None = None
    spare: int | None = None

    @property
    def size(self) -> int:
        return self.instruction.encodings[0].length

    @property
    def mnemonic(self) -> str:
        return self.instruction.mnemonic

    @property
    def is_branch(self) -> bool:
        return "branch" in self.instruction.flow

    @property
    def is_jump(self) -> bool:
        """Whether the instruction after it is reached from elsewhere only."""
        return "jump" in self.instruction.flow or "return" in self.instruction.flow

    @property
    def is_call(self) -> bool:
        return "call" in self.instruction.flow

    @property
    def is_loop(self) -> bool:
        return "loop" in self.instruction.flow

    def reach(self) -> tuple[int, int]:
        """Smallest and largest distance of the place."""
        assert self.open_operand is not None
        operand = self.instruction.operand(self.open_operand)
        return operand.minimum, operand.maximum

    def arguments(self) -> list[int]:
        """The values of all operands but the open one, in assembly order."""
        return [self.values[o.name] for o in self.instruction.operands if o.name != self.open_operand]


def make(isa: Isa, mnemonic: str, *arguments: int, place: Expression | None = None) -> Machine:
    """An instruction by mnemonic and operand values in assembly order; a place takes the pc-relative operand."""
    instruction = isa[mnemonic]
    open_operand = None
    if place is not None:
        open_operand = next(o.name for o in instruction.operands if o.kind == "pcrel")
    closed = [o.name for o in instruction.operands if o.name != open_operand]
    return Machine(instruction, dict(zip(closed, arguments, strict=True)), open_operand, place)


def fits(machine: Machine) -> bool:
    """Whether all known operands can be encoded."""
    return all(machine.instruction.operand(name).allows(value) for name, value in machine.values.items())


def narrowed(isa: Isa, machine: Machine) -> Machine:
    """The 16-bit form where there is one, else the instruction itself."""
    mnemonic, arguments = machine.mnemonic, machine.arguments()
    candidates: list[Machine] = []
    if mnemonic in ("addi", "addi.n") and arguments[2] == 0:
        candidates.append(make(isa, "mov.n", *arguments[:2]))
    elif mnemonic in ("addi", "addmi"):
        candidates.append(make(isa, "addi.n", *arguments))
    elif mnemonic == "or" and arguments[1] == arguments[2]:
        same = arguments[0] == arguments[1]
        candidates.append(make(isa, "nop.n") if same else make(isa, "mov.n", *arguments[:2]))
    elif mnemonic == "slli" and arguments[2] == 0:
        candidates.append(make(isa, "mov.n", *arguments[:2]))
    elif mnemonic in NARROWER:
        candidates.append(make(isa, NARROWER[mnemonic], *arguments, place=machine.place))
    return next((c for c in candidates if fits(c)), machine)


def widened(isa: Isa, machine: Machine) -> Machine | None:
    """The 24-bit form of a 16-bit instruction, if it has one."""
    wide = WIDER.get(machine.mnemonic)
    if wide is None:
        return None
    arguments = machine.arguments()
    if wide == "or":
        arguments.append(arguments[1])
    return make(isa, wide, *arguments, place=machine.place)


def expand_constant(
    isa: Isa, machine: Machine, literal: Callable[[Expression], Expression]
) -> tuple[Machine, ...] | None:
    """Instructions for a constant that the instruction itself cannot hold, or None. `literal` makes one."""
    mnemonic, arguments = machine.mnemonic, machine.arguments()
    if mnemonic in WIDER:
        wide = widened(isa, machine)
        assert wide is not None
        if fits(wide):
            return (wide,)
        return expand_constant(isa, wide, literal)
    if mnemonic == "movi":
        return (make(isa, "l32r", arguments[0], place=literal(Number(arguments[1]))),)
    if mnemonic == "slli" and arguments[2] == 0:
        return (make(isa, "or", arguments[0], arguments[1], arguments[1]),)
    if mnemonic == "srli" and 16 <= arguments[2] <= 31:
        return (make(isa, "extui", arguments[0], arguments[1], arguments[2], 32 - arguments[2]),)
    if mnemonic in ("addi", "addmi"):
        target, source, constant = arguments
        low = (constant + 128) % 256 - 128
        high = make(isa, "addmi", target, source, constant - low)
        if fits(high):
            return (high, narrowed(isa, make(isa, "addi", target, target, low))) if low else (high,)
        if target != source:
            load = make(isa, "l32r", target, place=literal(Number(constant)))
            return load, narrowed(isa, make(isa, "add", target, source, target))
    if mnemonic in ("l8ui", "l16si", "l16ui", "l32i") and arguments[0] != arguments[1]:
        target, source, offset = arguments
        load = make(isa, "l32r", target, place=literal(Number(offset)))
        address = make(isa, "add", target, target, source)
        return load, narrowed(isa, address), narrowed(isa, make(isa, mnemonic, target, target, 0))
    return None


def over_jump(isa: Isa, branch: Machine) -> tuple[Machine, ...]:
    """The opposite branch around a jump to the place."""
    mnemonic = INVERSE[WIDER.get(branch.mnemonic, branch.mnemonic)]
    if mnemonic in ("beqz", "bnez"):
        mnemonic += ".n"
    opposite = make(isa, mnemonic, *branch.arguments(), place=branch.place)
    jump = make(isa, "j", place=branch.place)
    return replace(opposite, place=None, distance=opposite.size + jump.size), jump


def far_jump(isa: Isa, jump: Machine, literal: Expression) -> tuple[Machine, ...]:
    """A jump through an address in the literal pool, with the help of a register."""
    assert jump.spare is not None
    return make(isa, "l32r", jump.spare, place=literal), make(isa, "jx", jump.spare)


def far_call(isa: Isa, call: Machine, literal: Expression) -> tuple[Machine, ...]:
    """A call through an address in the literal pool."""
    register = int(CALLS[call.mnemonic][1:])
    return make(isa, "l32r", register, place=literal), make(
        isa, call.mnemonic.replace("call", "callx"), register
    )


def long_loop(isa: Isa, loop: Machine, literal: Expression) -> tuple[Machine, ...]:
    """A loop whose end is set through the special register LEND, for bodies of more than 256 bytes.

    The loop instruction starts a short loop over the set-up itself, which then moves LBEG and LEND.
    """
    (count,) = loop.arguments()
    setup = (
        make(isa, "rsr.lend", count),
        make(isa, "wsr.lbeg", count),
        make(isa, "l32r", count, place=literal),
        make(isa, "nop"),
        make(isa, "wsr.lend", count),
        make(isa, "isync"),
        make(isa, "rsr.lcount", count),
        make(isa, "addi", count, count, 1),
    )
    short = replace(loop, place=None, distance=loop.size + sum(m.size for m in setup))
    skips = {"loop": (), "loopnez": ("beqz",), "loopgtz": ("beqz", "bltz")}[loop.mnemonic]
    return *(make(isa, m, count, place=loop.place) for m in skips), short, *setup
