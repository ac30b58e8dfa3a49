"""Every text/bytes pair of the published ESP32-P4 vectors: the assembler's bytes and the decoder's mnemonics."""

import json
from pathlib import Path

import pytest

from pienn.isa import load
from pienn.isa.assembler import assemble
from pienn.isa.disassembler import instruction_text

REVISIONS = {"xespv2p1": (1,), "xespv2p2": (3,), "xesploop": (1, 3)}


def records(shared: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (shared / "vectors" / name).read_text().splitlines()]


def text_bytes(texts: list[str], revision: int) -> bytes:
    """The bytes of a sequence of PIE statements."""
    return assemble(".option norvc\n" + "\n".join(texts) + "\n", "esp32p4", revision).sections[".text"].data


def test_published_assembler_pairs(shared: Path) -> None:
    isa = load("esp32p4")
    seen = 0
    for record in records(shared, "p4_mc.jsonl"):
        for revision in REVISIONS.get(record["isa"], ()):
            seen += 1
            data = bytes.fromhex(record["bytes"])
            decoded = isa.decode(data, revision=revision)
            assert decoded is not None, record
            mnemonic = record["text"].split()[0]
            found = isa.find(mnemonic, revision)
            assert found is not None and decoded[0] is found, record
            if record["kind"] == "assemble":
                assert text_bytes([record["text"]], revision) == data, record
    assert seen > 1000


def test_early_assemblers_scaled_two_broadcast_immediates_by_four(shared: Path) -> None:
    """`esp.vldbc.8.ip`/`.16.ip` of assemblers before ESP-IDF 5.5.2 encode the immediate divided by 4."""
    legacy = [r for r in records(shared, "p4_mc.jsonl") if r["isa"].endswith("-legacy-imm4")]
    assert len(legacy) == 2
    isa = load("esp32p4")
    for record in legacy:
        decoded = isa.decode(bytes.fromhex(record["bytes"]), revision=1)
        assert decoded is not None
        scale = decoded[0].operand("imm").scale
        written = int(record["text"].rsplit(",", 1)[1])
        assert decoded[1]["imm"] * 4 == written * scale


@pytest.mark.parametrize(("key", "revision"), [("bytes_2p1", 1), ("bytes_2p2", 3)])
def test_board_checked_sequences(shared: Path, key: str, revision: int) -> None:
    checked = 0
    for record in records(shared, "p4_pie.jsonl"):
        for text, expected in zip(record["asm"], record[key] or []):
            if expected is not None:
                checked += 1
                assert text_bytes([text], revision).hex() == expected, (record["id"], text)
    assert checked > 300


@pytest.mark.parametrize(("key", "revision"), [("w2p1", 1), ("w2p2", 3)])
def test_model_instructions_and_back(shared: Path, key: str, revision: int) -> None:
    isa = load("esp32p4")
    chosen = [r for r in records(shared, "p4_pie_model.jsonl") if key in r]
    assert len(chosen) > 2000
    expected = b"".join(int(r[key], 16).to_bytes(4, "little") for r in chosen)
    assert text_bytes([r["asm"] for r in chosen], revision) == expected
    texts: list[str] = []
    for record in chosen:
        found = isa.decode(int(record[key], 16).to_bytes(4, "little"), revision=revision)
        assert found is not None and isa.find(record["mn"], revision) is found[0], record
        texts.append(instruction_text("esp32p4", found[0], found[1], revision))
    assert text_bytes(texts, revision) == expected
