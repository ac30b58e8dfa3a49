"""What an assembled object tells: lines, listing, flat image, symbols, and the disassembly of its ELF file."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pienn.isa.assembler import assemble
from pienn.isa.commands import asm, disasm, isa
from pienn.isa.disassembler import disassemble
from pienn.isa.table import load

SOURCE = """
.macro step
    addi a0, a0, 4
.endm
.globl kernel
kernel:
    esp.vld.128.ip q0, a0, 16
    step
    bnez a1, kernel
    la a2, weights
    ret
    .data
weights: .word 1, kernel
    .bss
    .p2align 4
buffer: .space 32
    .comm shared, 8, 4
"""


def test_lines_lead_from_addresses_to_the_source() -> None:
    image = assemble(SOURCE, "esp32p4", name="k.S").link(0x4FF00000)
    assert str(image.lines[0x4FF00000]) == "k.S:7:5"
    inside = image.lines[0x4FF00004]
    assert (inside.line, inside.macro) == (3, ("macro step called at k.S:8:5",))
    assert image.line_at(0x4FF0000A) == image.lines[0x4FF00008]
    assert image.texts[0x4FF00006] == "bnez a1, kernel"


def test_link_places_sections_in_order_and_common_symbols_last() -> None:
    object_ = assemble(SOURCE, "esp32p4")
    image = object_.link(0x4FF00000)
    assert [s.name for s in image.segments] == [".text", ".data", ".bss"]
    assert image.symbols["kernel"] == 0x4FF00000
    assert image.symbols["buffer"] % 16 == 0 and image.symbols["buffer"] > image.symbols["weights"]
    assert image.symbols["shared"] == image.symbols["buffer"] + 32
    data = image.segments[1]
    assert data.data[4:8] == (0x4FF00000).to_bytes(4, "little")
    apart = object_.link({"": 0x4FF00000, ".data": 0x48000000})
    assert apart.symbols["weights"] == 0x48000000


def test_flat_image_leaves_out_trailing_bss() -> None:
    object_ = assemble(SOURCE, "esp32p4")
    assert len(object_.flat(0)) == object_.link(0).segments[1].address + 8


def test_listing_shows_offsets_bytes_text_and_places() -> None:
    listing = assemble(SOURCE, "esp32p4", name="k.S").listing()
    line = next(line for line in listing.splitlines() if "esp.vld" in line)
    assert line.split() == ["00000000", "9f001103", "esp.vld.128.ip", "q0,", "a0,", "16", "k.S:7"]
    assert "kernel:" in listing and "section .data (8 bytes)" in listing


def test_commands_assemble_and_disassemble(tmp_path: Path) -> None:
    source = tmp_path / "k.S"
    source.write_text(SOURCE)
    run = CliRunner().invoke
    output = tmp_path / "k.o"
    assert run(asm, [str(source), "--target", "esp32p4", "-o", str(output)]).exit_code == 0
    text = run(disasm, [str(output), "--target", "esp32p4"]).output
    assert "kernel:" in text and "esp.vld.128.ip q0, a0, 16" in text and "c.bnez a1, kernel" in text
    flat = tmp_path / "k.bin"
    arguments = [
        str(source),
        "--target",
        "esp32p4",
        "--format",
        "bin",
        "--base",
        "0x4ff00000",
        "-o",
        str(flat),
    ]
    assert run(asm, arguments).exit_code == 0
    assert flat.read_bytes() == assemble(SOURCE, "esp32p4").flat(0x4FF00000)
    source.write_text("esp.zero.q q8\nfoo\n")
    failed = run(asm, [str(source), "--target", "esp32p4", "-o", str(output)])
    assert failed.exit_code == 2
    assert [line.split(" error")[0] for line in failed.stderr.splitlines()] == [
        f"{source}:1:12:",
        f"{source}:2:1:",
    ]


def test_isa_show_prints_bits_limits_and_meaning() -> None:
    result = CliRunner().invoke(isa, ["show", "esp.srcmb.s8.qacc", "--target", "esp32p4"])
    assert result.exit_code == 0
    for expected in ("sat", "x8-x15", "revision 1", "revision 3", "pie_srcmb", "QACC_L", "hw-expr", "rdn"):
        assert expected in result.output
    assert len(CliRunner().invoke(isa, ["list", "vmulas", "--target", "esp32p4"]).output.splitlines()) == 44


@pytest.mark.parametrize("revision", [1, 3])
def test_disassembly_assembles_to_the_same_bytes(revision: int) -> None:
    """Random instruction words of the whole table: text without context, back to the same bytes."""
    import random

    from pienn.isa.disassembler import instruction_text

    table = load("esp32p4")
    generator = random.Random(revision)
    lines: list[str] = []
    expected = b""
    for instruction in table.instructions.values():
        encoding = instruction.encoding(revision)
        if encoding is None or (instruction.flow in (("branch",), ("jump",)) and encoding.length == 2):
            continue  # the assembler chooses the size of short jumps by itself
        for _ in range(4):
            word = encoding.match
            for bits in encoding.fields.values():
                for bit in bits:
                    word |= generator.getrandbits(1) << bit
            data = word.to_bytes(encoding.length, "little")
            found = table.decode(data, revision=revision)
            if found is None or found[0] is not instruction:
                continue
            lines += [".option rvc" if encoding.length == 2 else ".option norvc"]
            lines.append(instruction_text("esp32p4", *found, revision))
            expected += data
    object_ = assemble(".option norvc\n" + "\n".join(lines) + "\n", "esp32p4", revision)
    data = object_.sections[".text"].data
    if data != expected:
        pairs = zip(disassemble(data, "esp32p4", 0, revision), disassemble(expected, "esp32p4", 0, revision))
        assert next(((a, b) for a, b in pairs if a.data != b.data), None) is None
    assert len(expected) > 6000


def test_data_between_code_is_shown_as_words(tmp_path: Path) -> None:
    object_ = assemble("f: ret\n.p2align 2\n.word 0x12345678, 2\ng: nop\n", "esp32p4")
    (tmp_path / "f.o").write_bytes(object_.elf())
    text = CliRunner().invoke(disasm, [str(tmp_path / "f.o"), "--target", "esp32p4"]).output
    assert [line.split("  ")[-1] for line in text.splitlines() if ":  " in line] == [
        "c.jr ra", "c.nop", ".word 0x12345678", ".word 0x00000002", "c.nop", "c.nop",
    ]  # fmt: skip
