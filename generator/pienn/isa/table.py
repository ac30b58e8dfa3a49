"""The instruction tables: one text file per chip, parsed into `Isa`.

`esp32p4.isa` and `esp32s3.isa` are the only place where mnemonic, operands, encodings, limits,
revision, description and issue class of an instruction are written; assembler, disassembler,
simulator, documents and coverage reports are derived from them.

Format of an .isa file
======================
Line oriented; `#` at the start of a line or after white space starts a comment; an indented line
belongs to the instruction above it.

    target esp32p4
    lengths 2 2 2 4 2 2 2 4 2 2 2 4 2 2 2 4     instruction length by the low nibble of its first byte
    type NAME KIND RANGE... [option...]          an operand type
    alias NEW OLD[@REVISION]                     another spelling of a mnemonic
    names KIND WORD=NUMBER...                    words for registers or other values of a kind (repeatable)
    MNEMONIC operand, operand(operand)           an instruction, operands as in assembly
        bits[@REVISION] [NAME=VALUE...] FIELD...
        KEY text

Types.  KIND is a register file (`x f q a b m ...`), `imm` (a number), `pcrel` (a place in the program; its
value is the distance in bytes from the address of the instruction itself), `csr`, `sr` or `ur`.
RANGE is `low..high` or single numbers; what the field holds follows from it:

    one range, register    value = low + field
    one range, number      value = base + scale * field, the field being two's complement when a value
                           below base is allowed
    several, or `values`   value = the field-th value of the list (irregular tables, register subsets)

Options: `scale N`, `base N` (value of field 0), `except N...` (values that are somebody else's
encoding), `names WORD...` (words for the values low, low+1, ...), `default N [since REVISION]` (the operand
may be left out, from that revision on; the default is also the value where an encoding has no such
field), `anchor down|up` (the field counts from the instruction address rounded down / up to 4 bytes).

Operands are written `name:type:access`, access being `r`, `w` or `rw`, each letter followed by the
pipeline stage of the use or definition where it is known: `qs:q:r@1w@2`.

`bits` gives the word from its most significant bit to its least: tokens of `0`, `1` and `-` (ignored when
decoding, 0 when encoding) and pieces `name[high:low]` or `name[bit]` of the fields. Without `@REVISION` the
encoding holds for every chip revision. P4: 1 = revisions below v3 (PIE 2p1), 3 = v3 and newer (2p2).
`NAME=VALUE` states the value that an operand without a field has in this encoding.

Other keys: `reads`, `writes` (implicit state, `NAME` or `NAME@stage`), `extension`, `issue` (issue class),
`memory` (`load N` and/or `store N`, bytes), `flow` (`branch jump call return loop trap`), `confidence`,
`does` (formula), `text` (one English sentence), `note` (a caveat, repeatable), and for short forms `expands`
(`MNEMONIC name=operand name=number ...`: the instruction that has the same effect) and `replaces` (the same,
repeatable: further instructions whose operands of that form the assembler writes in the short form).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

from pienn.errors import PiennError

TARGETS = ("esp32p4", "esp32s3")
REGISTER_KINDS = frozenset("xfqabm")


@dataclass(frozen=True)
class Operand:
    """One operand; values are what the assembly text says (register numbers, scaled numbers)."""

    name: str
    type: str
    kind: str
    access: str
    signed: bool
    scale: int
    base: int
    minimum: int
    maximum: int
    values: tuple[int, ...] | None = None
    excluded: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    default: int | None = None
    default_since: int | None = None
    anchor: str | None = None
    use_stage: int | None = None
    def_stage: int | None = None

    @property
    def is_register(self) -> bool:
        return self.kind in REGISTER_KINDS

    def allows(self, value: int) -> bool:
        """Whether the value can be encoded (range, step, holes)."""
        if value in self.excluded:
            return False
        if self.values is not None:
            return value in self.values
        return self.minimum <= value <= self.maximum and (value - self.base) % self.scale == 0

    def field_of(self, value: int) -> int:
        """The field for an allowed value (two's complement; the caller masks it to the field's width)."""
        if self.values is not None:
            return self.values.index(value)
        return (value - self.base) // self.scale

    def value_of(self, raw: int, width: int) -> int | None:
        """The value of a raw field of `width` bits, or None when no value has that field."""
        if self.values is not None:
            value = self.values[raw] if raw < len(self.values) else None
        else:
            if self.signed and raw >> (width - 1):
                raw -= 1 << width
            value = self.base + self.scale * raw
            if not self.minimum <= value <= self.maximum:
                value = None
        return None if value in self.excluded else value

    def may_be_omitted(self, revision: int | None) -> bool:
        if self.default is None:
            return False
        return self.default_since is None or (revision is not None and revision >= self.default_since)

    def limits(self) -> str:
        """The allowed set in words, for documents and error messages."""
        if self.is_register:
            return ", ".join(_runs(self.kind, [v for v in self.all_values() if v not in self.excluded]))
        if self.values is not None:
            return ", ".join(str(v) for v in self.values if v not in self.excluded)
        text = f"{self.minimum}..{self.maximum}"
        if abs(self.scale) > 1:
            text += f" in steps of {abs(self.scale)}"
        if self.excluded:
            text += " except " + ", ".join(str(v) for v in sorted(self.excluded))
        return text

    def all_values(self) -> tuple[int, ...]:
        if self.values is not None:
            return self.values
        return tuple(range(self.minimum, self.maximum + 1, abs(self.scale)))


@dataclass(frozen=True, eq=False)
class Encoding:
    """One binary form: `word & mask == match`; fields: operand name to word bits, least significant first."""

    revision: int | None
    length: int
    match: int
    mask: int
    fields: dict[str, tuple[int, ...]]
    fixed: dict[str, int] = field(default_factory=dict)
    picture: str = ""

    def holds_for(self, revision: int | None) -> bool:
        return self.revision is None or self.revision == revision


@dataclass(frozen=True)
class State:
    """An implicit state (register that the text does not name) with its pipeline stage where known."""

    name: str
    stage: int | None = None


Pattern = tuple[str, dict[str, "str | int"]]
"""A mnemonic with its operands given by operand names of another instruction or as numbers."""


@dataclass(frozen=True, eq=False)
class Instruction:
    mnemonic: str
    syntax: str
    operands: tuple[Operand, ...]
    encodings: tuple[Encoding, ...]
    reads: tuple[State, ...] = ()
    writes: tuple[State, ...] = ()
    extension: str = ""
    issue_class: str = ""
    loads: int = 0
    stores: int = 0
    flow: tuple[str, ...] = ()
    confidence: str = ""
    formula: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()
    expansion: Pattern | None = None
    replaces: tuple[Pattern, ...] = ()

    def expand(self, values: dict[str, int]) -> tuple[str, dict[str, int]]:
        """The instruction with the same effect and its operand values (itself when it is no short form)."""
        if self.expansion is None:
            return self.mnemonic, values
        mnemonic, pairs = self.expansion
        return mnemonic, {n: values[v] if isinstance(v, str) else v for n, v in pairs.items()}

    def encoding(self, revision: int | None) -> Encoding | None:
        return next((e for e in self.encodings if e.holds_for(revision)), None)

    def operand(self, name: str) -> Operand:
        return next(o for o in self.operands if o.name == name)

    def operands_at(self, revision: int | None) -> tuple[Operand, ...]:
        """The operands that the text has on this revision (those with a field)."""
        encoding = self.encoding(revision)
        return tuple(o for o in self.operands if encoding is None or o.name in encoding.fields)

    @property
    def minimum_revision(self) -> int | None:
        revisions = [e.revision for e in self.encodings]
        return None if None in revisions else min(r for r in revisions if r is not None)

    @property
    def maximum_revision(self) -> int | None:
        revisions = [e.revision for e in self.encodings]
        return None if None in revisions else max(r for r in revisions if r is not None)


class Isa:
    """All instructions of one chip."""

    def __init__(
        self,
        target: str,
        lengths: tuple[int, ...],
        instructions: dict[str, Instruction],
        aliases: dict[tuple[str, int | None], str],
        names: dict[str, dict[str, int]],
    ) -> None:
        self.target = target
        self.lengths = lengths
        self.instructions = instructions
        self.aliases = aliases
        self.names = names
        self.revisions: tuple[int | None, ...] = tuple(
            sorted({e.revision for i in instructions.values() for e in i.encodings if e.revision is not None})
        ) or (None,)
        self._candidates: dict[tuple[int | None, int], list[_MaskGroup]] = {}

    def __getitem__(self, mnemonic: str) -> Instruction:
        return self.instructions[mnemonic]

    def __contains__(self, mnemonic: str) -> bool:
        return mnemonic in self.instructions

    def find(self, mnemonic: str, revision: int | None = None) -> Instruction | None:
        """The instruction of that name or alias that exists on the revision, else None."""
        revision = self.revision(revision)
        instruction = self.instructions.get(mnemonic)
        if instruction is None or instruction.encoding(revision) is None:
            target = self.aliases.get((mnemonic, revision)) or self.aliases.get((mnemonic, None))
            instruction = self.instructions.get(target) if target else None
        if instruction is None or instruction.encoding(revision) is None:
            return None
        return instruction

    def revision(self, revision: int | None) -> int | None:
        """The revision to use: the newest one when none is given."""
        return self.revisions[-1] if revision is None else revision

    def encode(
        self, mnemonic: str, values: dict[str, int], revision: int | None = None, pc: int = 0
    ) -> bytes:
        """The instruction's bytes in memory order. Operands with a default may be missing.

        Raises PiennError when the mnemonic is unknown on the revision or a value is outside its limits.
        """
        revision = self.revision(revision)
        instruction = self.find(mnemonic, revision)
        if instruction is None:
            raise PiennError(f"{mnemonic}: no such instruction on {self.target} revision {revision}")
        return self.encode_instruction(instruction, values, revision, pc)

    def encode_instruction(
        self, instruction: Instruction, values: dict[str, int], revision: int | None, pc: int = 0
    ) -> bytes:
        encoding = instruction.encoding(revision)
        if encoding is None:
            raise PiennError(f"{instruction.mnemonic}: not on {self.target} revision {revision}")
        word = encoding.match
        for operand in instruction.operands:
            bits = encoding.fields.get(operand.name)
            if bits is None:
                continue
            value = values.get(operand.name, operand.default)
            if value is None:
                raise PiennError(f"{instruction.mnemonic}: operand {operand.name} is missing")
            value -= _anchor_distance(operand, pc)
            if not operand.allows(value):
                raise PiennError(
                    f"{instruction.mnemonic}: operand {operand.name} = {value} not encodable, allowed: "
                    f"{operand.limits()}"
                )
            raw = operand.field_of(value)
            for position, bit in enumerate(bits):
                word |= (raw >> position & 1) << bit
        return word.to_bytes(encoding.length, "little")

    def decode(
        self, data: bytes, offset: int = 0, revision: int | None = None, pc: int = 0
    ) -> tuple[Instruction, dict[str, int]] | None:
        """The instruction at data[offset:] with the values of all its operands, or None for unknown words.

        Operands that the encoding has no field for are given their fixed or default value, so that `values`
        always says everything the semantics needs.
        """
        found = self.decode_encoding(data, offset, revision, pc)
        return None if found is None else (found[0], found[2])

    def decode_encoding(
        self, data: bytes, offset: int = 0, revision: int | None = None, pc: int = 0
    ) -> tuple[Instruction, Encoding, dict[str, int]] | None:
        """Like `decode`, with the encoding that matched (its length leads to the next instruction)."""
        if offset >= len(data):
            return None
        revision = self.revision(revision)
        groups = self._candidates.get((revision, data[offset]))
        if groups is None:
            groups = self._candidates[revision, data[offset]] = self._groups(revision, data[offset])
        for group in groups:
            piece = data[offset : offset + group.length]
            if len(piece) < group.length:
                continue
            word = int.from_bytes(piece, "little")
            for instruction, encoding in group.by_match.get(word & group.mask, ()):
                values = _field_values(instruction, encoding, word, pc)
                if values is not None:
                    return instruction, encoding, values
        return None

    def length_at(self, first_byte: int) -> int:
        """Length in bytes of the instruction that starts with this byte, known or not."""
        return self.lengths[first_byte & 15]

    def check_overlaps(self) -> list[str]:
        """Pairs of encodings that some word could match both of; empty when every word has one meaning."""
        found: list[str] = []
        for revision in self.revisions:
            pool = [(i, e) for i in self.instructions.values() for e in i.encodings if e.holds_for(revision)]
            for index, (first, a) in enumerate(pool):
                for second, b in pool[index + 1 :]:
                    if (a.match ^ b.match) & a.mask & b.mask:
                        continue
                    if _separated(first, a, b) or _separated(second, b, a):
                        continue
                    found.append(f"{first.mnemonic} and {second.mnemonic} (revision {revision})")
        return found

    def _groups(self, revision: int | None, first_byte: int) -> list[_MaskGroup]:
        groups: dict[tuple[int, int], _MaskGroup] = {}
        for instruction in self.instructions.values():
            for encoding in instruction.encodings:
                if not encoding.holds_for(revision) or (first_byte ^ encoding.match) & encoding.mask & 0xFF:
                    continue
                key = (encoding.length, encoding.mask)
                group = groups.setdefault(key, _MaskGroup(encoding.length, encoding.mask, {}))
                group.by_match.setdefault(encoding.match, []).append((instruction, encoding))
        return list(groups.values())


@dataclass(frozen=True)
class _MaskGroup:
    length: int
    mask: int
    by_match: dict[int, list[tuple[Instruction, Encoding]]]


def _anchor_distance(operand: Operand, pc: int) -> int:
    """Distance from the instruction address to the place that the field counts from."""
    if operand.anchor == "down":
        return -(pc & 3)
    if operand.anchor == "up":
        return -pc & 3
    return 0


def _field_values(instruction: Instruction, encoding: Encoding, word: int, pc: int) -> dict[str, int] | None:
    values: dict[str, int] = {}
    for operand in instruction.operands:
        bits = encoding.fields.get(operand.name)
        if bits is None:
            value = encoding.fixed.get(operand.name, operand.default)
            if value is not None:
                values[operand.name] = value
            continue
        raw = 0
        for position, bit in enumerate(bits):
            raw |= (word >> bit & 1) << position
        value = operand.value_of(raw, len(bits))
        if value is None:
            return None
        values[operand.name] = value + _anchor_distance(operand, pc)
    return values


def _separated(instruction: Instruction, own: Encoding, other: Encoding) -> bool:
    """Whether a field of `own` is fixed by `other` to something that the operand does not allow."""
    for operand in instruction.operands:
        bits = own.fields.get(operand.name)
        if bits is None or not all(other.mask >> bit & 1 for bit in bits):
            continue
        raw = sum((other.match >> bit & 1) << position for position, bit in enumerate(bits))
        if operand.value_of(raw, len(bits)) is None:
            return True
    return False


def _runs(prefix: str, numbers: list[int]) -> list[str]:
    """Consecutive numbers as `x8-x15`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{prefix}{a}" if a == b else f"{prefix}{a}-{prefix}{b}" for a, b in runs]


@functools.cache
def load(target: str) -> Isa:
    """The instruction table of a chip (`esp32p4` or `esp32s3`), parsed once per process."""
    if target not in TARGETS:
        raise PiennError(f"unknown target {target!r}: choose one of {', '.join(TARGETS)}")
    from pienn.isa.table_reader import parse

    path = Path(__file__).with_name(f"{target}.isa")
    return parse(path.read_text(encoding="utf-8"), path.name)
