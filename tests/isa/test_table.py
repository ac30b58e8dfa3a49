"""The instruction tables: every word has one meaning, encoding and decoding are inverse, limits hold."""

import random
from pathlib import Path

import pytest

from pienn import isa as isa_package
from pienn.errors import PiennError
from pienn.isa.table import TARGETS as ALL_TARGETS
from pienn.isa.table import Isa
from pienn.isa.table_reader import parse

FOLDER = Path(isa_package.__file__).parent
TARGETS = [t for t in ALL_TARGETS if (FOLDER / f"{t}.isa").exists()]


def random_values(instruction, encoding, generator: random.Random) -> dict[str, int]:
    """Allowed values for every operand that the encoding has a field for."""
    values = {}
    for operand in instruction.operands:
        bits = encoding.fields.get(operand.name)
        while bits and operand.name not in values:
            value = operand.value_of(generator.getrandbits(len(bits)), len(bits))
            if value is not None:
                values[operand.name] = value
    return values


@pytest.mark.parametrize("target", TARGETS)
def test_no_word_has_two_meanings(target: str) -> None:
    assert isa_package.load(target).check_overlaps() == []


@pytest.mark.parametrize("target", TARGETS)
def test_decode_inverts_encode_for_every_instruction(target: str) -> None:
    isa = isa_package.load(target)
    for seed, instruction in enumerate(isa.instructions.values()):
        generator = random.Random(seed)
        for encoding in instruction.encodings:
            for revision in isa.revisions if encoding.revision is None else (encoding.revision,):
                for _ in range(8):
                    values = random_values(instruction, encoding, generator)
                    data = isa.encode_instruction(instruction, values, revision)
                    decoded = isa.decode(data, revision=revision)
                    assert decoded is not None, (instruction.mnemonic, values, data.hex())
                    assert decoded[0].mnemonic == instruction.mnemonic
                    assert {k: decoded[1][k] for k in values} == values
                    assert isa.length_at(data[0]) == len(data)


@pytest.mark.parametrize("target", TARGETS)
def test_encode_inverts_decode_for_random_words(target: str) -> None:
    isa = isa_package.load(target)
    generator = random.Random(20261121)
    known = 0
    for _ in range(40_000):
        data = generator.randbytes(4)
        for revision in isa.revisions:
            found = isa.decode_encoding(data, revision=revision)
            if found is None:
                continue
            known += 1
            instruction, encoding, values = found
            word = int.from_bytes(data[: encoding.length], "little")
            cared = sum(1 << bit for bits in encoding.fields.values() for bit in bits) | encoding.mask
            again = isa.encode_instruction(instruction, values, revision)
            assert int.from_bytes(again, "little") == word & cared, (instruction.mnemonic, data.hex())
    assert known > 1000


TOY = """\
target toy
lengths 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2
type r   x 8..15
type n   imm -4..6 scale 2 except 0
type b   imm values -1 1 2 8
type s   imm 0..1 default 1 since 3 names off on
add rd:r:w, value:n:r, table:b:r, mode:s:r
    bits@1 mode=0 00000 table[0] value[2:0] rd[1:0] table[1] 0101
    bits@3 0000 mode[0] table[0] value[2:0] rd[1:0] table[1] 0101
    reads SAR@1 CFG
"""


def toy(text: str = TOY) -> Isa:
    return parse(text, "toy.isa")


def test_fields_scale_tables_defaults_and_fixed_values() -> None:
    isa = toy()
    data = isa.encode("add", {"rd": 10, "value": -4, "table": 8}, revision=3)
    assert int.from_bytes(data, "little") == 0b0000_1_1_110_10_1_0101
    decoded = isa.decode(data, revision=3)
    assert decoded is not None and decoded[1] == {"rd": 10, "value": -4, "table": 8, "mode": 1}
    first = isa.encode("add", {"rd": 10, "value": 6, "table": 1}, revision=1)
    decoded = isa.decode(first, revision=1)
    assert decoded is not None and decoded[1]["mode"] == 0
    assert isa["add"].reads[0].stage == 1 and isa["add"].reads[1].stage is None


@pytest.mark.parametrize(
    "values", [{"value": 0}, {"value": 8}, {"value": 3}, {"table": 3}, {"rd": 7}, {"rd": 16}]
)
def test_values_outside_the_limits_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(PiennError, match="allowed"):
        toy().encode("add", {"rd": 8, "value": 2, "table": 1, **values}, revision=3)


def test_excluded_values_do_not_decode() -> None:
    assert toy().decode((0b0000_1_1_000_10_1_0101).to_bytes(2, "little"), revision=3) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("table[0] value", "value", "toy.isa:7: .*bits, not a whole number"),
        ("value:n:r", "value:unknown:r", "toy.isa:7: .*unknown"),
        ("reads", "reeds", "toy.isa:7: add: unknown key reeds"),
    ],
)
def test_a_mistake_in_a_table_names_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(PiennError, match=message):
        toy(TOY.replace(old, new))
