"""The ESP32-S3 assembler makes the bytes of GNU as, LLVM and the golden vectors."""

import json
import random
import re
import subprocess
from pathlib import Path

import pytest
import xtensa_programs

from pienn.isa import load
from pienn.isa.assembler import assemble

ISA = load("esp32s3")
DATA = Path(__file__).parent / "data"
PROGRAMS = [json.loads(line) for line in (DATA / "xtensa_programs.jsonl").read_text().splitlines()]


def section(text: str, name: str = ".text") -> bytes:
    sections = assemble(text + "\n", "esp32s3").sections
    return sections[name].data if name in sections else b""


@pytest.mark.parametrize("program", PROGRAMS, ids=[p["name"] for p in PROGRAMS])
def test_programs_have_the_layout_of_gnu_as(program: dict[str, str]) -> None:
    assert section(program["source"]).hex() == program["text"]
    assert section(program["source"], ".literal").hex() == program["literal"]


def test_texts_of_the_golden_vectors_give_their_bytes(shared: Path) -> None:
    records = [json.loads(line) for line in (shared / "vectors" / "s3_pie.jsonl").read_text().splitlines()]
    data = section("\n".join(record["asm"] for record in records))
    expected = b"".join(bytes.fromhex(record["bytes"]) for record in records)
    assert len(records) > 1000
    assert data == expected


def test_every_instruction_assembles_from_its_syntax() -> None:
    generator = random.Random(3)
    chosen = [i for i in ISA.instructions.values() if not any(o.kind == "pcrel" for o in i.operands)]
    texts = [xtensa_programs.random_statement(instruction, generator) for instruction in chosen]
    data = section("\n".join([".begin no-transform", *texts, ".end no-transform"]))
    offset = 0
    for instruction, text in zip(chosen, texts, strict=True):
        decoded = ISA.decode(data, offset)
        assert decoded is not None and decoded[0] is instruction, text
        offset += instruction.encodings[0].length
    assert offset == len(data)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_have_the_bytes_of_the_lx106_assembler(seed: int, tool, tmp_path: Path) -> None:
    """The lx106 core has density, but no loops, windows or booleans; its layout rules are the same."""
    assembler, copy = tool("xtensa-lx106-elf-as"), tool("xtensa-lx106-elf-objcopy")
    source = xtensa_programs.Program(xtensa_programs.small(ISA), seed, 80, far=seed % 4 == 0).text
    (tmp_path / "program.s").write_text(source)
    subprocess.run([assembler, "program.s", "-o", "program.o"], cwd=tmp_path, check=True)
    for name in (".text", ".literal"):
        command = [copy, "-O", "binary", "-j", name, "program.o", "out.bin"]
        subprocess.run(command, cwd=tmp_path, check=True)
        expected = (tmp_path / "out.bin").read_bytes()
        assert section(source, name).hex() == expected.hex(), f"seed {seed}:\n{source}"


LLVM_FEATURES = (
    "bool,clamps,coprocessor,debug,density,div32,exception,fp,highpriinterrupts,highpriinterrupts-level7,interrupt,loop,"
    "mac16,minmax,miscsr,mul16,mul32,mul32high,nsa,prid,regprotect,rvector,s32c1i,sext,threadptr,timers3,windowed"
)


def test_single_instructions_have_the_bytes_of_llvm(tool) -> None:
    """Each base instruction that LLVM knows, four times, with random operands; it has no PIE."""
    assembler = tool("llvm-mc-22")
    features = ",".join("+" + name for name in LLVM_FEATURES.split(","))
    command = [assembler, "-triple=xtensa", f"-mattr={features}", "-show-encoding"]
    generator = random.Random(22)
    statements = [
        xtensa_programs.random_statement(instruction, generator)
        for instruction in ISA.instructions.values()
        if instruction.extension != "pie" and not any(o.kind == "pcrel" for o in instruction.operands)
        for _ in range(4)
    ]
    run = subprocess.run(
        command,
        input="\n".join(statements),
        capture_output=True,
        text=True,
        check=False,
    )
    refused = {int(number) for number in re.findall(r"^<stdin>:(\d+):\d+: error", run.stderr, re.MULTILINE)}
    accepted = [text for number, text in enumerate(statements, 1) if number not in refused]
    encodings = re.findall(r"encoding: \[([^\]]*)\]", run.stdout)
    assert len(encodings) == len(accepted)
    expected = [bytes(int(byte, 16) for byte in encoding.split(",")) for encoding in encodings]
    data = section("\n".join([".begin no-transform", *accepted, ".end no-transform"]))
    different = set()
    offset = 0
    for text, encoding in zip(accepted, expected, strict=True):
        if data[offset : offset + len(encoding)] != encoding:
            different.add(text)
        offset += len(encoding)
    assert different == set()
    names = {text.split()[0] for text in accepted}
    assert len(names) > 300, sorted(set(ISA.instructions) - names)
