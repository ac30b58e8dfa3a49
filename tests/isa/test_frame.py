"""The assembler's frame: macros, conditions, sections, expressions, and what broken text does to it."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.table import load


def data(source: str, section: str = ".data") -> bytes:
    return assemble(f".data\n{source}\n", "esp32p4").sections[section].data


def words(source: str) -> list[int]:
    block = data(source)
    return [int.from_bytes(block[i : i + 4], "little", signed=True) for i in range(0, len(block), 4)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("1 + 2 == 3", -1),
        ("1 | 2 + 4", 7),
        ("6 & 3 << 1", 6),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("~0", -1),
        ("!5", 0),
        ("1 && 0 || 1", 1),
        ("0x10 - 010 + 0b11", 11),
        ("'a' + 1", 98),
        ("'\\n'", 10),
        ("5 <> 5", 0),
        ("3 >= 2", -1),
    ],
)
def test_operators_rank_as_in_gnu_as(text: str, value: int) -> None:
    assert words(f".word {text}") == [value]


def test_set_symbols_count_with_their_value_at_the_place() -> None:
    assert words(".set N, 1\n.word N\n.set N, N + 1\n.word N, LATER\nLATER = 9") == [1, 2, 9]


def test_label_differences_are_numbers_across_fragments_of_fixed_size() -> None:
    source = "a: .word 1, 2\nb: .if (b - a) == 8\n.word 5\n.endif\n.word end - a, . - b\nend:"
    assert words(source) == [1, 2, 5, 20, 8]


def test_macro_counter_defaults_keywords_and_empty_arguments() -> None:
    source = """
    .macro item a, b=2, c
    .word \\a, \\b
    .ifnb \\c
    .word \\c
    .endif
    name\\@\\()_x: .word \\@
    .endm
    item 1
    item b=5, a=4
    item 7, , 8
    """
    assert words(source) == [1, 2, 0, 4, 5, 1, 7, 2, 8, 2]


def test_exitm_leaves_a_macro_inside_a_condition() -> None:
    source = ".macro m n\n.word \\n\n.if \\n > 1\n.exitm\n.endif\n.word 100\n.endm\nm 1\nm 2\n.word 3"
    assert words(source) == [1, 100, 2, 3]


def test_irp_irpc_and_nested_rept() -> None:
    source = ".irp v, 1, 2\n.rept 2\n.word \\v\n.endr\n.endr\n.irpc d, 34\n.word \\d\n.endr"
    assert words(source) == [1, 1, 2, 2, 3, 4]


def test_macro_defines_a_macro() -> None:
    assert words(".macro outer n\n.macro inner\n.word \\n\n.endm\n.endm\nouter 6\ninner") == [6]


def test_conditions_nest_and_elseif_chooses_one() -> None:
    inner = ".if 0\n.word 9\n.else\n.word 2\n.endif"
    source = f".set N, 2\n.if N == 1\n.word 1\n.elseif N == 2\n{inner}\n.elseif 1\n.word 3\n.endif"
    assert words(source) == [2]


def test_sections_with_push_previous_and_pop() -> None:
    source = ".word 1\n.pushsection .rodata\n.word 2\n.popsection\n.word 3\n.text\nnop\n.previous\n.word 4"
    object_ = assemble(f".data\n{source}\n", "esp32p4")
    assert len(object_.sections[".data"].data) == 12
    assert object_.sections[".rodata"].data == (2).to_bytes(4, "little")


def test_strings_keep_comment_signs_separators_and_escapes() -> None:
    assert data('.asciz "a#b;c//d/*e*/\\x41\\101\\"" # comment') == b'a#b;c//d/*e*/AA"\0'


def test_character_constants_may_hold_signs_of_the_syntax() -> None:
    assert (
        data(".byte '#', ';', ',', '(', 'a, '\\'' # ';'") == b"#;,(a'"
        and data("/* ' */ .byte 1 /* x */, 2") == b"\1\2"
    )


def test_fill_org_and_balign_with_value() -> None:
    assert data(".byte 1\n.org 3, 7\n.byte 2\n.balign 8, 0xff\n.fill 2, 2, 0x1234") == bytes.fromhex(
        "01070702ffffffff3412341200000000"
    )


def test_include_and_incbin_are_found_beside_the_source_and_in_folders(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "table.inc").write_text(".word 5\n")
    (tmp_path / "blob.bin").write_bytes(b"abcdef")
    source = tmp_path / "a.S"
    source.write_text('.data\n.include "table.inc"\n.incbin "blob.bin", 2, 3\n')
    object_ = assemble(source, "esp32p4", include=[tmp_path / "more"])
    assert object_.sections[".data"].data == b"\5\0\0\0cde"


def test_preprocessor_sees_defines_includes_and_the_chip(tmp_path: Path) -> None:
    source = tmp_path / "a.S"
    source.write_text(
        "#define TWICE(x) .word x, x\n.data\nTWICE(N)\n"
        "#if __riscv_xlen == 32 && !defined(__riscv_zbb)\n.word 1\n#endif\n"
    )
    object_ = assemble(source, "esp32p4", 1, defines={"N": "7"})
    assert object_.sections[".data"].data == bytes([7, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0])


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.S"
    source.write_text('nop\n.include "a.S"\n')
    with pytest.raises(PiennError, match=r"a\.S:2:1: error: files include each other more than 100 levels"):
        assemble(source, "esp32p4")


def test_a_comment_that_starts_like_a_directive_is_a_comment() -> None:
    assert words("# if the loop ends here\n.word 1 # define\n#comment\n.word 2") == [1, 2]


def test_headers_beside_the_source_win_over_those_of_the_working_directory(
    tmp_path: Path, monkeypatch
) -> None:
    for folder, value in (("here", 1), ("there", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "n.h").write_text(f"#define N {value}\n")
    source = tmp_path / "there" / "a.S"
    source.write_text('#include "n.h"\n.data\n.byte N\n')
    monkeypatch.chdir(tmp_path / "here")
    assert assemble(source, "esp32p4").sections[".data"].data == b"\2"


def test_an_unreadable_file_is_named() -> None:
    with pytest.raises(PiennError, match=r"nowhere\.S: cannot be read"):
        assemble("nowhere.S", "esp32p4")


def test_two_hundred_kernel_lines_assemble_within_a_tenth_of_a_second() -> None:
    import time

    source = (
        "k:\n"
        + "    esp.vld.128.ip q0, a0, 16\n    esp.vmulas.s8.xacc q0, q1\n    addi a1, a1, -1\n    bnez a1, k\n"
        * 50
    )
    assemble(source, "esp32p4")
    start = time.process_time()
    assemble(source, "esp32p4")
    assert time.process_time() - start < 0.1


PIECES = (
    r".macro m a|.endm|m 1|.rept 3|.endr|.if 1|.else|.endif|.irp x, 1, 2|\x|\@|1:|1b|2f|label:|label|.word|.align|(|)|N"
    r'|.set N,|+|-|%hi(|%lo(label)|,|a0|q1|esp.vld.128.ip|addi|lw|4(a0)|(a0)|"text|"a"|;|.byte 300|beqz|li|jal|call|é'
    r"|'|'a'|0x|09|.section|99999999999999999999|.option|push|.size f,|.comm|.fill|\|=|:|.org|.incbin|.type|.exitm|~|!"
    r"|.asciz|.float|.set label, label|.balign|.space|.purgem|.irpc|.ifdef|.pushsection|.previous|.popsection|.bss|."
).split("|")


@pytest.mark.parametrize("target", ["esp32p4", "esp32s3"])
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_broken_text_ends_in_one_line_errors_only(target: str, seed: int) -> None:
    generator = random.Random(seed)
    mnemonics = list(load(target).instructions)
    lines = []
    for _ in range(generator.randrange(1, 8)):
        pieces = [generator.choice(PIECES) for _ in range(generator.randrange(1, 6))]
        if generator.random() < 0.5:
            pieces[0] = generator.choice(mnemonics)
        lines.append(generator.choice([" ", "", ", "]).join(pieces))
    source = "\n".join(lines) + "\n"
    try:
        object_ = assemble(source, target)
        object_.elf(), object_.listing(), object_.link(0x40000000, {"label": 0x40000000, "N": 4})
    except PiennError as error:
        assert "\n" not in str(error), (seed, source)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r} for {source!r}") from error


OPERANDS = (
    "a0|a6|t3|x9|sp|zero|q0|q7|f1|fa0|0|1|16|-16|100|5000|0x80000000|0xffffffff|lab|lab+4|end-lab|1f|1b|external|%hi(lab)"
    "|%lo(lab)|%pcrel_hi(lab)|%pcrel_lo(1b)|%lo(5)|4(a0)|(a0)|lab(a0)|%lo(lab)(a0)|4(sp)|sat|trunc|rne|rtz|mstatus|iorw|."
).split("|")


@pytest.mark.parametrize("revision", [1, 3])
def test_any_operands_give_bytes_or_a_one_line_error(revision: int) -> None:
    isa = load("esp32p4")
    assembled = 0
    for seed, mnemonic in enumerate(
        [*isa.instructions, "li", "la", "mv", "jr", "call", "j", "not", "csrw"] * 2
    ):
        generator = random.Random(seed)
        operands = ", ".join(
            generator.choice(OPERANDS) for _ in range(generator.choice([0, 1, 2, 2, 3, 3, 4, 5]))
        )
        source = f"lab: nop\n1: {mnemonic} {operands}\n1: nop\nend: nop\n"
        try:
            assemble(source, "esp32p4", revision).link(0x40000000, {"external": 0x40000400})
            assembled += 1
        except PiennError as error:
            assert "\n" not in str(error), source
        except Exception as error:
            raise AssertionError(f"{error!r} for {source!r}") from error
    assert assembled > 5
