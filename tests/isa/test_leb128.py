"""`.uleb128` and `.sleb128`."""

import random

import pytest

from pienn.isa.assembler import assemble
from pienn.isa.leb128 import encode
from pienn.isa.source import AssemblyError


def decode(data: bytes, signed: bool) -> int:
    number = sum((byte & 0x7F) << 7 * position for position, byte in enumerate(data))
    return number - (1 << 7 * len(data)) if signed and data[-1] & 0x40 else number


@pytest.mark.parametrize("signed", [False, True])
def test_encoding_is_read_back_and_shortest(signed: bool) -> None:
    generator = random.Random(128)
    for bits in range(1, 64):
        number = generator.getrandbits(bits) * (generator.choice((1, -1)) if signed else 1)
        data = encode(number, signed)
        assert decode(data, signed) == number
        assert len(data) == 1 or decode(data[:-1] + bytes([data[-2] & 0x7F]), signed) != number


def test_differences_of_labels_are_known_after_layout() -> None:
    text = ".data\na: .space 3\n.uleb128 b - a, 300\n.sleb128 a - b\n.space 130\nb: .byte 1\n"
    data = assemble(text, "esp32s3").sections[".data"].data
    assert data == bytes(3) + b"\x8b\x01" + b"\xac\x02" + b"\xf5\x7e" + bytes(130) + b"\x01"


def test_negative_number_is_refused_without_sign() -> None:
    with pytest.raises(AssemblyError, match=r"1:\d+: error: .uleb128 -1 is negative: use .sleb128"):
        assemble(".uleb128 -1\n", "esp32s3")
