"""Directives for sections, symbols and data (`.section .globl .word .align ...`)."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, Number
from pienn.isa.leb128 import Leb128
from pienn.isa.program import Bytes, Fill, Origin, Words
from pienn.isa.source import Statement, split_operands

if TYPE_CHECKING:
    from collections.abc import Callable

    from pienn.isa.assembler import Assembler

_DEFAULT_FLAGS = {
    ".text": "ax", ".data": "aw", ".bss": "aw", ".rodata": "a", ".sdata": "aw", ".sbss": "aw", ".literal": "ax",
    ".init": "ax", ".fini": "ax", ".tdata": "awT", ".tbss": "awT",
}  # fmt: skip

_WIDTHS = {
    ".byte": 1, ".half": 2, ".short": 2, ".hword": 2, ".2byte": 2, ".word": 4, ".long": 4, ".int": 4,
    ".4byte": 4, ".dword": 8, ".quad": 8, ".8byte": 8,
}  # fmt: skip

# Directives without effect on the bytes of these targets.
_IGNORED = frozenset(
    ".file .loc .ident .cfi_startproc .cfi_endproc .cfi_def_cfa .cfi_def_cfa_offset .cfi_offset .cfi_restore "
    ".cfi_sections .cfi_remember_state .cfi_restore_state .cfi_def_cfa_register .cfi_adjust_cfa_offset .attribute "
    ".addrsig .addrsig_sym .list .nolist .title .sbttl .psize .eject .hidden .protected .internal .version "
    ".gnu_attribute".split()
)


def default_flags(name: str) -> str:
    for known, flags in _DEFAULT_FLAGS.items():
        if name == known or name.startswith(known + "."):
            return flags
    return ""


def run(name: str, arguments: str, statement: Statement, assembler: Assembler) -> bool:
    """Carry out one directive; False when it is none of those known here."""
    if name in _WIDTHS:
        _words(_WIDTHS[name], arguments, statement, assembler)
    elif name in _TABLE:
        _TABLE[name](name, arguments, statement, assembler)
    else:
        return name in _IGNORED
    return True


def names() -> list[str]:
    return [*_WIDTHS, *_TABLE, *_IGNORED]


def _index(statement: Statement, text: str) -> int:
    return max(0, statement.text.find(text)) if text else 0


def _words(width: int, arguments: str, statement: Statement, assembler: Assembler) -> None:
    expressions: list[Expression] = []
    try:
        for text, _ in split_operands(arguments):
            expressions.append(assembler.expression(text, statement, _index(statement, text)))
            assembler.ahead += width
    finally:
        assembler.ahead = 0
    assembler.append(Words(statement.location, width=width, expressions=tuple(expressions)))


def _leb128(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    for text, _ in split_operands(arguments):
        expression = assembler.expression(text, statement, _index(statement, text))
        assembler.append(Leb128(statement.location, expression=expression, signed=name == ".sleb128"))


def _integers(name: str, arguments: str, statement: Statement, assembler: Assembler) -> list[int | None]:
    """Arguments that must be numbers now; None where one is left empty."""
    return [
        assembler.number(text, statement, _index(statement, text)) if text else None
        for text, _ in split_operands(arguments)
    ]


def _floats(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    code = "<f" if name in (".float", ".single") else "<d"
    data = b""
    for text, _ in split_operands(arguments):
        try:
            data += struct.pack(code, float(re.sub(r"^0[fFdDrR]", "", text)))
        except (ValueError, OverflowError) as error:
            raise statement.error(f"{text!r} is not a {name[1:]} number", _index(statement, text)) from error
    assembler.append(Bytes(statement.location, data=data))


def _strings(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    data = b""
    for text, _ in split_operands(arguments):
        if len(text) < 2 or text[0] != '"' or text[-1] != '"':
            raise statement.error(
                f"{name} needs strings in double quotes, not {text!r}", _index(statement, text)
            )
        data += _string_bytes(text[1:-1]) + (b"" if name == ".ascii" else b"\0")
    assembler.append(Bytes(statement.location, data=data))


_SIMPLE_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "v": 11, "\\": 92, '"': 34}


def _string_bytes(text: str) -> bytes:
    def one(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 8) & 0xFF)
        if found[2]:
            return chr(int(found[2], 16) & 0xFF)
        return chr(_SIMPLE_ESCAPES.get(found[3], ord(found[3])))

    text = text.encode("utf-8").decode("latin-1")
    return re.sub(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]+)|(.))", one, text).encode("latin-1")


def _section(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    if name in (".text", ".data", ".bss"):
        assembler.enter(assembler.section(name, default_flags(name)))
        return
    operands = [text for text, _ in split_operands(arguments)]
    if not operands:
        raise statement.error(f"{name} needs the name of a section")
    section_name = operands[0].strip('"')
    flags = operands[1].strip('"') if len(operands) > 1 else default_flags(section_name)
    unknown = set(flags) - set("awxMSGTo0123456789")
    if unknown:
        raise statement.error(f"section flag {sorted(unknown)[0]!r} is unknown: use letters of awxMST")
    section = assembler.section(section_name, flags)
    if len(operands) > 2:
        section.type = operands[2].lstrip("@%")
    if "M" in flags and len(operands) > 3:
        section.entry_size = assembler.number(operands[3], statement)
    if name == ".pushsection":
        assembler.section_stack.append((assembler.current, assembler.previous))
    assembler.enter(section)


def _leave_section(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    if name == ".previous":
        assembler.enter(assembler.previous)
        return
    if not assembler.section_stack:
        raise statement.error(".popsection without .pushsection: remove it")
    assembler.current, assembler.previous = assembler.section_stack.pop()


def _align(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    numbers = _integers(name, arguments, statement, assembler)
    exponent = numbers[0] if numbers and numbers[0] is not None else 0
    fill = numbers[1] if len(numbers) > 1 else None
    maximum = (numbers[2] or None) if len(numbers) > 2 else None
    alignment = exponent
    in_bytes = name.startswith(".balign") or (name == ".align" and not assembler.target.align_is_exponent)
    if not in_bytes:
        if not 0 <= exponent <= 16:
            raise statement.error(
                f"{name} takes the exponent of the alignment, 0..16, not {exponent}: use .balign for bytes",
                _index(statement, arguments),
            )
        alignment = 1 << exponent
    if alignment > 1 << 16:
        raise statement.error(
            f"the alignment {alignment} is more than 65536 bytes", _index(statement, arguments)
        )
    if alignment < 0 or alignment & (alignment - 1):
        raise statement.error(
            f"the alignment {alignment} is not a power of two", _index(statement, arguments)
        )
    width = {"w": 2, "l": 4}.get(name[-1], 1) if name not in (".align", ".p2align", ".balign") else 1
    assembler.align(max(1, alignment), fill, maximum, statement, width)


def _space(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if not operands:
        raise statement.error(f"{name} needs a size")
    size = assembler.expression(operands[0][0], statement, _index(statement, operands[0][0]))
    value = assembler.number(operands[1][0], statement) if len(operands) > 1 else 0
    assembler.append_fill(Fill(statement.location, count=size, unit=bytes([value & 0xFF])))


def _fill(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    count = assembler.expression(operands[0][0], statement) if operands else Number(0)
    width = assembler.number(operands[1][0], statement) if len(operands) > 1 else 1
    value = assembler.number(operands[2][0], statement) if len(operands) > 2 else 0
    if not 0 <= width <= 8:
        raise statement.error(f".fill: the size of one item is 0..8 bytes, not {width}")
    unit = (value & 0xFFFFFFFF).to_bytes(8, "little")[:width]
    assembler.append_fill(Fill(statement.location, count=count, unit=unit))


def _origin(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if not operands:
        raise statement.error(".org needs an offset")
    fill = assembler.number(operands[1][0], statement) if len(operands) > 1 else 0
    to = assembler.expression(operands[0][0], statement)
    assembler.append(Origin(statement.location, to=to, fill=fill & 0xFF))


def _binding(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    binding = {".globl": "global", ".global": "global", ".weak": "weak", ".local": "local", ".extern": ""}[
        name
    ]
    for text, _ in split_operands(arguments):
        symbol = assembler.symbol(text.strip('"'))
        if binding:
            symbol.binding = binding
        if binding == "local":
            assembler.local_names.add(symbol.name)


def _set(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if len(operands) != 2:
        raise statement.error(f"{name} needs a name and a value: {name} NAME, VALUE")
    index = len(statement.text) - len(arguments) + operands[1][1]
    assembler.assign(operands[0][0], operands[1][0], statement, index, once=name == ".equiv")


def _type(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if len(operands) != 2:
        raise statement.error(".type needs a name and a type: .type NAME, @function or @object")
    kind = operands[1][0].lstrip("@%").strip('"').lower().removeprefix("stt_")
    if kind not in ("function", "func", "object", "notype"):
        raise statement.error(f"type {operands[1][0]!r} is unknown: use @function, @object or @notype")
    assembler.symbol(operands[0][0]).type = "function" if kind == "func" else kind


def _size(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if len(operands) != 2:
        raise statement.error(".size needs a name and a size: .size NAME, . - NAME")
    expression = assembler.expression(operands[1][0], statement, _index(statement, operands[1][0]))
    assembler.symbol(operands[0][0]).size = expression


def _common(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    if len(operands) < 2:
        raise statement.error(f"{name} needs a name and a size: {name} NAME, SIZE, ALIGNMENT")
    size = assembler.number(operands[1][0], statement)
    alignment = assembler.number(operands[2][0], statement) if len(operands) > 2 else 1
    symbol = assembler.symbol(operands[0][0])
    if name == ".comm" and symbol.name not in assembler.local_names:
        symbol.type, symbol.binding, symbol.common = "object", "global", (size, alignment)
        return
    bss = assembler.section(".bss", "aw")
    here, before = assembler.current, assembler.previous
    assembler.enter(bss)
    assembler.align(alignment, None, None, statement, 1)
    assembler.define(symbol.name, statement)
    symbol.type, symbol.size = "object", Number(size)
    assembler.append_fill(Fill(statement.location, count=Number(size)))
    assembler.current, assembler.previous = here, before


def _include_binary(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    operands = split_operands(arguments)
    path = assembler.find_file(operands[0][0].strip('"') if operands else "", statement)
    data = path.read_bytes()
    skip = assembler.number(operands[1][0], statement) if len(operands) > 1 and operands[1][0] else 0
    count = assembler.number(operands[2][0], statement) if len(operands) > 2 else len(data) - skip
    assembler.append(Bytes(statement.location, data=data[skip : skip + count]))


def _include(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    path = assembler.find_file(arguments.strip().strip('"'), statement)
    assembler.include_text(path.read_text(encoding="utf-8"), str(path))


def _message(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    text = arguments.strip().strip('"')
    if name == ".print":
        print(text)
    elif name == ".warning":
        assembler.warnings.append(f"{statement.location}: warning: {text}")
    else:
        raise statement.error(text or f"{name} directive")


def _end(name: str, arguments: str, statement: Statement, assembler: Assembler) -> None:
    assembler.feed.stack.clear()


_TABLE: dict[str, Callable[[str, str, Statement, Assembler], None]] = {
    **dict.fromkeys((".text", ".data", ".bss", ".section", ".pushsection"), _section),
    **dict.fromkeys((".previous", ".popsection"), _leave_section),
    **dict.fromkeys(
        (".align", ".p2align", ".p2alignw", ".p2alignl", ".balign", ".balignw", ".balignl"), _align
    ),
    **dict.fromkeys((".space", ".skip", ".zero"), _space),
    **dict.fromkeys((".uleb128", ".sleb128"), _leb128),
    **dict.fromkeys((".float", ".single", ".double"), _floats),
    **dict.fromkeys((".ascii", ".asciz", ".string"), _strings),
    **dict.fromkeys((".globl", ".global", ".weak", ".local", ".extern"), _binding),
    **dict.fromkeys((".set", ".equ", ".equiv"), _set),
    **dict.fromkeys((".error", ".err", ".warning", ".print"), _message),
    **dict.fromkeys((".comm", ".lcomm"), _common),
    ".fill": _fill,
    ".org": _origin,
    ".type": _type,
    ".size": _size,
    ".incbin": _include_binary,
    ".include": _include,
    ".end": _end,
}
