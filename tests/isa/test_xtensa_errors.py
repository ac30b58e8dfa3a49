"""Mistakes in ESP32-S3 assembly are told in one line: place, what is wrong, the way out."""

import pytest

from pienn.isa.assembler import assemble
from pienn.isa.source import AssemblyError

MISTAKES = [
    (
        "ee.vld.128.ip q8, a2, 16",
        "1:15: error: ee.vld.128.ip: q8 is not possible as qu, use q0-q7",
    ),
    (
        "ee.vld.128.ip q0, a16, 16",
        "1:19: error: ee.vld.128.ip: a16 is not possible as as, use a0-a15",
    ),
    (
        "ee.vld.128.ip a0, a2, 16",
        "1:15: error: ee.vld.128.ip: qu must be a vector register (q0-q7), not 'a0'",
    ),
    (
        "ee.vld.128.ip q0, a2, 8",
        "1:23: error: ee.vld.128.ip: imm16 = 8 is not possible, use -2048..2032 in steps of 16",
    ),
    (
        "ee.vld.128.ip q0, a2, 4096",
        "1:23: error: ee.vld.128.ip: imm16 = 4096 is not possible, use -2048..2032",
    ),
    (
        "ee.vld.128.ip q0, a2, a3",
        "1:23: error: ee.vld.128.ip: imm16 is a number, not register a3",
    ),
    (
        "ee.vld.128.ip q0, a2",
        "1:15: error: ee.vld.128.ip needs 3 operand(s), not 2: ee.vld.128.ip qu, as, imm16",
    ),
    (
        "ee.vmulas.s8.qac q0, q1",
        "1:1: error: unknown instruction ee.vmulas.s8.qac on esp32s3: did you mean ee.vmulas",
    ),
    (
        "ee.src.q.ld.ip q1, a3, 16, q1, q2",
        "1:28: error: ee.src.q.ld.ip writes q1 twice, as qu and as qs0: use different",
    ),
    (
        "ee.movi.32.q q0, a2, 4",
        "1:22: error: ee.movi.32.q: sel4 = 4 is not possible, use 0..3",
    ),
    (
        "ee.ldf.128.ip f16, f2, f1, f0, a2, 16",
        "1:15: error: ee.ldf.128.ip: f16 is not possible as fu3, use f0-f15",
    ),
    (
        "any4 b1, b3",
        "1:10: error: any4: b3 is not possible as bs4, use b0, b4, b8, b12",
    ),
    (
        "beqi a3, 9, .",
        "1:10: error: beqi: b4const = 9 is not possible, use -1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16",
    ),
    (
        "s32i a3, a4, 2000",
        "1:14: error: s32i: uimm8x4 = 2000 is not possible, use 0..1020 in steps of 4, or movi",
    ),
    (
        "addi a2, a2, 0x100000",
        "1:14: error: addi: simm8 = 1048576 is not possible, use -128..127, or movi the number",
    ),
    (
        "extui a2, a3, 30, 5",
        "1:15: error: extui: shift and width together exceed 32: take fewer bits",
    ),
    ("rsr a2, foo", "1:9: error: foo is no special register that rsr can access"),
    (
        "_movi a2, 5000",
        "1:11: error: movi: simm12b = 5000 is not possible, use -2048..2047",
    ),
    (
        "addi a2, a3, foo",
        "1:14: error: addi: simm8 must be a number known here, foo is not: define it above",
    ),
    ("j 100", "1:3: error: j: the target must be a label, not the number 100"),
    ("mov a2", "1:5: error: mov needs 2 operands, not 1: mov at, as"),
    (
        "loop a2, 1f\n1:",
        "1:1: error: the loop up to 1 is empty: give it an instruction",
    ),
    (
        "loop a2, 1f\nnop\n",
        "1:1: error: loop: 1 must be a label behind the loop in the same section",
    ),
    (
        "loop a2, e\ncall8 e\ne:",
        "2:1: error: call8 must not be the last instruction of the loop up to e",
    ),
    (
        "b:\nnop\nloop a2, b",
        "3:1: error: loop: b lies before the loop: a loop ends behind its body",
    ),
    (
        "loop a1, e\n.rept 99\nee.vld.128.ip q0, a2, 16\n.endr\ne:",
        "1:1: error: loop: the target is 300 bytes away, reach",
    ),
    (
        "call8 f\nnop.n\nf:",
        "1:1: error: call8: the target is 5 bytes away, reach is -524284..524288 in steps of 4: its",
    ),
    (
        "nop.n\nentry a1, 32",
        "2:1: error: entry is not at a multiple of 4: put .align 4 before its label",
    ),
    (
        "_beqz a2, f\n.space 5000\nf:",
        "1:1: error: beqz: the target is 5003 bytes away, reach is -2044..2051: move",
    ),
    (
        ".end transform",
        "1:1: error: .end transform does not match its .begin: no .begin is open",
    ),
    (".begin no-transform\nnop", "error: .begin transform has no .end: add it"),
    (
        ".literal x",
        "1:1: error: .literal needs a name and a value: .literal NAME, VALUE",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[m[0].splitlines()[0] for m in MISTAKES])
def test_mistake_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(text + "\n", "esp32s3", name="kernel.S")
    told = str(caught.value)
    assert told.startswith("kernel.S:")
    assert message in told
    assert "\n" not in told


def test_all_mistakes_of_a_file_are_found_at_once() -> None:
    text = "add a1, a2\nnop\nee.zero.q q9\nfoo\n"
    with pytest.raises(AssemblyError) as caught:
        assemble(text, "esp32s3")
    assert [error.location.line for error in caught.value.errors] == [1, 3, 4]


def test_a_loop_inside_a_loop_is_a_warning() -> None:
    text = "loop a2, outer\nnop\nloop a3, inner\nadd a4, a4, a5\ninner: nop\nouter: nop\n"
    warnings = assemble(text, "esp32s3", name="kernel.S").warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("kernel.S:3:1: warning: this loop lies inside the loop at line 1")


def test_a_long_loop_is_told() -> None:
    text = "loop a2, end\n.rept {}\nee.zero.q q0\n.endr\nend: nop\n"
    assert assemble(text.format(84), "esp32s3").warnings == []
    (note,) = assemble(text.format(86), "esp32s3", name="kernel.S").warnings
    assert note.startswith("kernel.S:1:1: note: the loop body has more than 256 bytes")
