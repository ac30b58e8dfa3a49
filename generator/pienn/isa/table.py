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
import re
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


_OPERAND = re.compile(r"([\w']+):(\w+):([rw@\d]+)")
_PIECE = re.compile(r"([A-Za-z_]\w*)\[(\d+)(?::(\d+))?\]$")
_ACCESS = re.compile(r"([rw])(?:@(\d+))?")


@functools.cache
def load(target: str) -> Isa:
    """The instruction table of a chip (`esp32p4` or `esp32s3`), parsed once per process."""
    if target not in TARGETS:
        raise PiennError(f"unknown target {target!r}: choose one of {', '.join(TARGETS)}")
    path = Path(__file__).with_name(f"{target}.isa")
    return parse(path.read_text(encoding="utf-8"), path.name)


def parse(text: str, name: str) -> Isa:
    """Parse the text of an .isa file; PiennError names file and line of a mistake."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not stripped:
            continue
        try:
            reader.line(stripped, number)
        except (ValueError, KeyError, IndexError) as error:
            raise PiennError(f"{name}:{reader.number}: {error}") from error
    try:
        return reader.finish()
    except (ValueError, KeyError, IndexError) as error:
        raise PiennError(f"{name}:{reader.number}: {error}") from error


class _Reader:
    def __init__(self) -> None:
        self.target = ""
        self.lengths: tuple[int, ...] = ()
        self.types: dict[str, Operand] = {}
        self.aliases: dict[tuple[str, int | None], str] = {}
        self.names: dict[str, dict[str, int]] = {}
        self.instructions: dict[str, Instruction] = {}
        self.head = ""
        self.keys: list[tuple[str, str]] = []
        self.number = 0  # line of the stanza or statement being read

    def line(self, line: str, number: int) -> None:
        if line[0].isspace():
            key, _, rest = line.strip().partition(" ")
            self.keys.append((key, rest.strip()))
            return
        self.close()
        self.number = number
        word, _, rest = line.partition(" ")
        if word == "target":
            self.target = rest.strip()
        elif word == "lengths":
            self.lengths = tuple(int(n) for n in rest.split())
        elif word == "type":
            operand = _parse_type(rest.split())
            self.types[operand.type] = operand
        elif word == "alias":
            new, old = rest.split()
            old, _, revision = old.partition("@")
            self.aliases[new, int(revision) if revision else None] = old
        elif word == "names":
            kind, *pairs = rest.split()
            known = self.names.setdefault(kind, {})
            for pair in pairs:
                name, _, number_text = pair.partition("=")
                known[name] = int(number_text, 0)
        else:
            self.head = line

    def close(self) -> None:
        """Turn the collected stanza into an instruction."""
        if not self.head:
            return
        instruction = _parse_instruction(self.head, self.keys, self.types)
        if instruction.mnemonic in self.instructions:
            raise ValueError(f"{instruction.mnemonic} is described twice")
        self.instructions[instruction.mnemonic] = instruction
        self.head, self.keys = "", []

    def finish(self) -> Isa:
        self.close()
        return Isa(self.target, self.lengths, self.instructions, self.aliases, self.names)


def _parse_type(words: list[str]) -> Operand:
    name, kind = words[0], words[1]
    options: dict[str, list[str]] = {"range": []}
    current = "range"
    for word in words[2:]:
        if word in ("scale", "base", "except", "names", "default", "since", "anchor", "values"):
            current = word
            options[current] = []
        else:
            options[current].append(word)
    base = int(options["base"][0]) if "base" in options else 0
    scale = int(options["scale"][0]) if "scale" in options else 1
    listed = _numbers(options.get("values", [])) or _numbers(options["range"])
    values: tuple[int, ...] | None = tuple(listed)
    ranges = options["range"]
    if "values" not in options and len(ranges) == 1 and ".." in ranges[0]:
        values = None
        low, high = (int(n) for n in ranges[0].split(".."))
        listed = [low, high]
        if kind in REGISTER_KINDS:
            base = low
    default = options.get("default")
    since = options.get("since")
    return Operand(
        name="",
        type=name,
        kind=kind,
        access="",
        signed=values is None and any((v - base) // scale < 0 for v in listed),
        scale=scale,
        base=base,
        minimum=min(listed),
        maximum=max(listed),
        values=values,
        excluded=frozenset(int(n) for n in options.get("except", [])),
        names=tuple(options.get("names", [])),
        default=int(default[0]) if default else None,
        default_since=int(since[0]) if since else None,
        anchor=options["anchor"][0] if "anchor" in options else None,
    )


def _numbers(words: list[str]) -> list[int]:
    numbers: list[int] = []
    for word in words:
        if ".." in word:
            low, high = word.split("..")
            numbers.extend(range(int(low), int(high) + 1))
        else:
            numbers.append(int(word))
    return numbers


def _parse_instruction(head: str, keys: list[tuple[str, str]], types: dict[str, Operand]) -> Instruction:
    mnemonic, _, rest = head.partition(" ")
    operands: list[Operand] = []
    for name, type_name, access in _OPERAND.findall(rest):
        stages = dict(_ACCESS.findall(access))
        base = types[type_name]
        operands.append(
            Operand(
                **{
                    **base.__dict__,
                    "name": name,
                    "access": "".join(stages),
                    "use_stage": int(stages["r"]) if stages.get("r") else None,
                    "def_stage": int(stages["w"]) if stages.get("w") else None,
                }
            )
        )
    by_name = {o.name: o for o in operands}
    encodings: list[Encoding] = []
    single: dict[str, str] = {}
    notes: list[str] = []
    replaces: list[Pattern] = []
    for key, text in keys:
        if key.startswith("bits"):
            encodings.append(_parse_bits(mnemonic, key, text, by_name))
        elif key == "note":
            notes.append(text)
        elif key == "replaces":
            replaces.append(_pattern(text))
        elif key in single:
            raise ValueError(f"{mnemonic}: key {key} given twice")
        else:
            single[key] = text
    unknown = set(single) - _KEYS
    if unknown or not encodings:
        raise ValueError(f"{mnemonic}: " + (f"unknown key {sorted(unknown)[0]}" if unknown else "no bits"))
    memory = single.get("memory", "").split()
    sizes = dict(zip(memory[::2], memory[1::2], strict=True))
    return Instruction(
        mnemonic=mnemonic,
        syntax=(mnemonic + " " + _OPERAND.sub(r"\1", rest).strip()).strip(),
        operands=tuple(operands),
        encodings=tuple(encodings),
        reads=_states(single.get("reads", "")),
        writes=_states(single.get("writes", "")),
        extension=single.get("extension", ""),
        issue_class=single.get("issue", ""),
        loads=int(sizes.get("load", 0)),
        stores=int(sizes.get("store", 0)),
        flow=tuple(single.get("flow", "").split()),
        confidence=single.get("confidence", ""),
        formula=single.get("does", ""),
        description=single.get("text", ""),
        notes=tuple(notes),
        expansion=_pattern(single["expands"]) if "expands" in single else None,
        replaces=tuple(replaces),
    )


_KEYS = {"reads", "writes", "extension", "issue", "memory", "flow", "confidence", "does", "text", "expands"}


def _pattern(text: str) -> Pattern:
    mnemonic, *pairs = text.split()
    values: dict[str, str | int] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        values[name] = int(value) if value.lstrip("-").isdigit() else value
    return mnemonic, values


def _states(text: str) -> tuple[State, ...]:
    states: list[State] = []
    for word in text.split():
        name, _, stage = word.partition("@")
        states.append(State(name, int(stage) if stage else None))
    return tuple(states)


def _parse_bits(mnemonic: str, key: str, text: str, operands: dict[str, Operand]) -> Encoding:
    revision = int(key.partition("@")[2]) if "@" in key else None
    fixed: dict[str, int] = {}
    pieces: list[str] = []
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals:
            fixed[name] = int(value)
        else:
            pieces.append(word)
    match = mask = width = 0
    fields: dict[str, dict[int, int]] = {}
    for piece in reversed(pieces):
        found = _PIECE.match(piece)
        if found:
            high = int(found[2])
            low = int(found[3]) if found[3] else high
            for bit in range(low, high + 1):
                fields.setdefault(found[1], {})[bit] = width
                width += 1
            continue
        for character in reversed(piece):
            match |= (character == "1") << width
            mask |= (character != "-") << width
            width += 1
            if character not in "01-":
                raise ValueError(f"{mnemonic}: bad piece {piece!r} in bits")
    if width % 8:
        raise ValueError(f"{mnemonic}: bits has {width} bits, not a whole number of bytes")
    for name, positions in fields.items():
        if name not in operands or sorted(positions) != list(range(len(positions))):
            raise ValueError(f"{mnemonic}: field {name} is unknown or has holes")
    ordered = {name: tuple(p[bit] for bit in sorted(p)) for name, p in fields.items()}
    return Encoding(revision, width // 8, match, mask, ordered, fixed, " ".join(pieces))
