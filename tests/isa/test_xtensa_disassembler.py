"""Disassembled ESP32-S3 code assembles to the same bytes."""

import random

import pytest
import xtensa_programs

from pienn.isa import load
from pienn.isa.assembler import assemble
from pienn.isa.disassembler import disassemble, instruction_text

ISA = load("esp32s3")


def random_bytes(generator: random.Random) -> bytes:
    """One legal instruction of each kind, in random order."""
    pieces = []
    for instruction in ISA.instructions.values():
        if any(o.kind == "pcrel" for o in instruction.operands):
            values = {o.name: generator.choice(o.all_values()) for o in instruction.operands}
            pieces.append((instruction, values))
        else:
            text = xtensa_programs.random_statement(instruction, generator).partition(" ")[2]
            numbers = [int(word.strip().lstrip("aqfbm")) for word in text.split(",") if word.strip()]
            values = dict(zip([o.name for o in instruction.operands], numbers, strict=True))
            pieces.append((instruction, values))
    generator.shuffle(pieces)
    data = b""
    for instruction, values in pieces:
        operand = next((o for o in instruction.operands if o.anchor), None)
        pc = len(data)
        if operand is not None:
            anchor = pc & ~3 if operand.anchor == "down" else (pc + 3) & ~3
            values = {**values, operand.name: values[operand.name] + anchor - pc}
        data += ISA.encode_instruction(instruction, values, None, pc=pc)
    return data


@pytest.mark.parametrize("seed", range(4))
def test_disassembly_assembles_to_the_same_bytes(seed: int) -> None:
    data = random_bytes(random.Random(seed))
    lines = [".begin no-transform"]
    for decoded in disassemble(data, "esp32s3"):
        assert decoded.instruction is not None, decoded
        lines.append(instruction_text("esp32s3", decoded.instruction, decoded.values))
    lines.append(".end no-transform")
    again = assemble("\n".join(lines) + "\n", "esp32s3").sections[".text"].data
    assert len(lines) == 2 + len(ISA.instructions)
    assert again.hex() == data.hex(), f"seed {seed}"


def test_targets_are_written_as_symbols_or_addresses() -> None:
    data = assemble("f: nop.n\nbeqz a3, f\n", "esp32s3").sections[".text"].data
    texts = [d.text for d in disassemble(data, "esp32s3", 0x40000000, symbols={0x40000000: "f"})]
    assert texts == ["nop.n", "beqz a3, f"]
    assert [d.text for d in disassemble(data, "esp32s3", 0x100)] == [
        "nop.n",
        "beqz a3, 0x100",
    ]


def test_bytes_that_are_no_instruction() -> None:
    data = bytes.fromhex("7df0" + "3df0" + "40")
    assert [d.text for d in disassemble(data, "esp32s3")] == [
        ".byte 0x7d, 0xf0",
        "nop.n",
        ".byte 0x40",
    ]
