"""Reading an .isa file; the format is described at the top of table.py."""

from __future__ import annotations

import re

from pienn.errors import PiennError
from pienn.isa.table import REGISTER_KINDS, Encoding, Instruction, Isa, Operand, Pattern, State

_OPERAND = re.compile(r"([\w']+):(\w+):([rw@\d]+)")
_PIECE = re.compile(r"([A-Za-z_]\w*)\[(\d+)(?::(\d+))?\]$")
_ACCESS = re.compile(r"([rw])(?:@(\d+))?")


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
