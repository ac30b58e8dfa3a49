"""Objects for the ESP32-S3: linking here and by the GNU linker gives the same bytes and addresses."""

import subprocess
from pathlib import Path

import pytest
import xtensa_programs

from pienn.isa import load
from pienn.isa.assembler import assemble

ISA = load("esp32s3")
BASE = 0x40080000

KERNEL = """\
    .text
    .align 4
    .global scale_s8
    .type scale_s8, @function
scale_s8:
    entry sp, 32
    movi a8, table + 4
    movi a9, 0x12345678
    call8 helper
    mov a2, a10
    retw
    .size scale_s8, . - scale_s8
    .align 4
helper:
    entry a1, 16
    l32r a2, .Lanswer
    beqz a3, outside
    retw
    .literal .Lanswer, 42, scale_s8
    .section .rodata
    .align 4
table: .word 1, helper, outside - 4
"""


def test_link_resolves_literals_calls_and_words() -> None:
    image = assemble(KERNEL, "esp32s3").link(BASE, symbols={"outside": BASE + 0x1000})
    assert image.symbols["scale_s8"] == BASE + 16
    data = image.flat()
    word = {at: int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - 3, 4)}
    table = image.symbols["table"]
    assert [word[at] for at in (0, 4, 8, 12)] == [
        table + 4,
        0x12345678,
        42,
        image.symbols["scale_s8"],
    ]
    assert [word[table - BASE + at] for at in (0, 4, 8)] == [
        1,
        image.symbols["helper"],
        BASE + 0xFFC,
    ]
    offset, calls = 16, []
    while offset < image.symbols["helper"] - BASE:
        found = ISA.decode_encoding(data, offset, pc=BASE + offset)
        if found is None:
            break
        if found[0].mnemonic == "call8":
            calls.append(BASE + offset + found[2]["soffsetx4"])
        offset += found[1].length
    assert calls == [image.symbols["helper"]]


def gnu_link(object_file: bytes, folder: Path, tool, *, outside: int) -> bytes:
    """The image that the GNU linker for Xtensa makes of a relocatable file, equal literals not merged."""
    (folder / "kernel.o").write_bytes(object_file)
    (folder / "kernel.ld").write_text(
        f"elsewhere = {outside}; outside = {outside};\n"
        f"SECTIONS {{ . = {BASE}; .literal : {{ *(.literal) }} .text : {{ *(.text) }} .rodata : {{ *(.rodata) }} }}\n"
    )
    command = [
        tool("xtensa-lx106-elf-ld"),
        "--no-relax",
        "-T",
        "kernel.ld",
        "-e",
        "0",
        "kernel.o",
        "-o",
        "kernel.elf",
    ]
    subprocess.run(command, cwd=folder, check=True)
    copy = [
        tool("xtensa-lx106-elf-objcopy"),
        "-O",
        "binary",
        "kernel.elf",
        "kernel.bin",
    ]
    subprocess.run(copy, cwd=folder, check=True)
    return (folder / "kernel.bin").read_bytes()


def test_gnu_linker_makes_the_same_image(tool, tmp_path: Path) -> None:
    kernel = assemble(KERNEL, "esp32s3")
    expected = gnu_link(kernel.elf(), tmp_path, tool, outside=BASE + 0x1000)
    assert kernel.link(BASE, symbols={"outside": BASE + 0x1000}).flat().hex() == expected.hex()


@pytest.mark.parametrize("seed", range(4))
def test_gnu_linker_makes_the_same_image_of_random_programs(seed: int, tool, tmp_path: Path) -> None:
    text = xtensa_programs.Program(xtensa_programs.full(ISA), 1000 + seed, 80, far=seed == 3).text
    program = assemble(text, "esp32s3")
    expected = gnu_link(program.elf(), tmp_path, tool, outside=BASE + 0x8000)
    image = program.link(BASE, symbols={"elsewhere": BASE + 0x8000})
    assert image.flat().hex() == expected.hex(), f"seed {seed}:\n{text}"


def test_literal_section_follows_the_name_of_the_code_section() -> None:
    text = '.section {}, "ax"\n movi a2, 0x123456\n'
    for code, literal in (
        (".text.fast", ".literal.fast"),
        (".iram1", ".iram1.literal"),
        (".foo.text", ".foo.literal"),
    ):
        assert literal in assemble(text.format(code), "esp32s3").sections


def test_long_calls_go_through_a_literal() -> None:
    text = ".begin longcalls\n call8 elsewhere\n .end longcalls\n"
    image = assemble(text, "esp32s3").link(BASE, symbols={"elsewhere": 0x50000000})
    mnemonics = [ISA.decode(image.flat(), at, pc=BASE + at)[0].mnemonic for at in (4, 7)]  # type: ignore[index]
    assert mnemonics == ["l32r", "callx8"]
    assert image.flat()[:4] == (0x50000000).to_bytes(4, "little")


def test_every_machine_instruction_knows_its_line() -> None:
    """A nop before a loop, and each instruction of a long form, belong to the line that was written."""
    text = "start: nop.n\nloop a2, e\nee.zero.q q0\n.rept 90\nee.zero.q q1\n.endr\ne: nop\n"
    image = assemble(text, "esp32s3").link(BASE)
    address, lines = image.symbols["start"] + 2, []
    while address < image.symbols["e"]:
        lines.append(image.lines[address].line)
        found = ISA.decode_encoding(image.flat(), address - BASE)
        assert found is not None
        address += found[1].length
    assert lines == 9 * [2] + [3] + 90 * [5]
