"""The ESP32-S3 table against published facts: instruction counts, text/bytes pairs, places counted from pc."""

import json
import random
from pathlib import Path

import pytest

from pienn.errors import PiennError
from pienn.isa import load

ISA = load("esp32s3")


def test_table_holds_the_whole_core() -> None:
    pie = [i for i in ISA.instructions.values() if i.mnemonic.startswith("ee.")]
    assert len(pie) == 217
    assert sum(i.encodings[0].length == 4 for i in pie) == 89
    assert all(
        i.encodings[0].length == 4 for i in ISA.instructions.values() if i.encodings[0].match & 15 > 13
    )
    user = [m for m in ISA.instructions if m.startswith(("rur.", "wur."))]
    assert len(user) == 44
    assert len(ISA.instructions) == 753


def test_every_instruction_is_described() -> None:
    for instruction in ISA.instructions.values():
        name = instruction.mnemonic
        assert instruction.description.endswith("."), name
        assert instruction.issue_class and instruction.extension and instruction.confidence, name
        if instruction.extension == "pie":
            for operand in instruction.operands:
                if operand.is_register:
                    assert "r" not in operand.access or operand.use_stage is not None, (
                        name,
                        operand.name,
                    )
                    assert "w" not in operand.access or operand.def_stage is not None, (
                        name,
                        operand.name,
                    )


def test_golden_vectors_decode_to_their_text_and_back(shared: Path) -> None:
    count = 0
    for line in (shared / "vectors" / "s3_pie.jsonl").read_text().splitlines():
        record = json.loads(line)
        data = bytes.fromhex(record["bytes"])
        decoded = ISA.decode(data)
        assert decoded is not None, record["asm"]
        assert (decoded[0].mnemonic, decoded[1]) == (record["mn"], record["ops"]), record["asm"]
        assert ISA.encode(record["mn"], record["ops"]) == data, record["asm"]
        count += 1
    assert count > 1000


@pytest.mark.parametrize("pc", [0x40000000, 0x40000001, 0x40000002, 0x40000003])
def test_places_are_counted_from_the_instruction_address(pc: int) -> None:
    generator = random.Random(pc)
    for instruction in ISA.instructions.values():
        places = [o for o in instruction.operands if o.kind == "pcrel"]
        for operand in places:
            values = {o.name: generator.choice(o.all_values()) for o in instruction.operands}
            anchor = {"down": pc & ~3, "up": (pc + 3) & ~3, None: pc}[operand.anchor]
            values[operand.name] += anchor - pc
            data = ISA.encode(instruction.mnemonic, values, pc=pc)
            assert ISA.decode(data, pc=pc) == (instruction, values)
            if operand.anchor:
                assert (pc + values[operand.name]) % 4 == 0


def test_irregular_tables() -> None:
    assert ISA.encode("addi.n", {"arr": 3, "ars": 4, "ai4const": -1}) == bytes.fromhex("0b34")
    assert ISA.encode("movi.n", {"ars": 2, "simm7": -32}) == bytes.fromhex("6c02")
    assert ISA.encode("movi.n", {"ars": 2, "simm7": 95}) == bytes.fromhex("5cf2")
    with pytest.raises(PiennError, match="allowed: -1, 1, 2"):
        ISA.encode("addi.n", {"arr": 3, "ars": 4, "ai4const": 0})
    with pytest.raises(PiennError, match=r"-2048..2032 in steps of 16"):
        ISA.encode("ee.vld.128.ip", {"qu": 0, "as": 4, "imm16": 8})
