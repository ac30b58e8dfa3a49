"""The interface between the assembler frame and a chip's instruction set.

The frame (assembler.py and its siblings) knows statements, macros, directives, sections, symbols,
expressions, layout and output. A target knows instructions: it turns one statement into fragments of the
current section. A target that relaxes instructions, keeps literal pools or aligns loops does it with its own
`Fragment` subclasses (program.py) and with the hooks below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pienn.isa.expressions import Value
from pienn.isa.program import Align, Fragment, Layout, Relocation, Section
from pienn.isa.source import AssemblyError, Statement
from pienn.isa.table import Isa, load

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler


class Target:
    """Base of riscv.RiscV and xtensa.Xtensa: one object per assembly, so it may hold state (.option, .begin)."""

    name = ""
    """`esp32p4` or `esp32s3`."""
    elf_machine = 0
    elf_flags = 0
    relocation_numbers: dict[str, int] = {}
    """ELF number of each relocation kind that the target makes."""
    has_mapping_symbols = False
    """Whether objects carry `$x` and `$d`, which tell disassemblers code from data."""
    data_relocations: dict[int, str] = {}
    """Relocation kind of a data word by its width in bytes."""

    pads_section_ends = True
    """Whether GNU as for the chip fills each section up to a multiple of its alignment."""
    align_is_exponent = True
    """Whether `.align 4` means 16 bytes (as on RISC-V) or 4 bytes (as on Xtensa)."""

    def __init__(self, revision: int | None) -> None:
        self.isa: Isa = load(self.name)
        self.revision = self.isa.revision(revision)

    def predefined_macros(self) -> dict[str, str]:
        """Macros that the C preprocessor sees, as the chip's own compiler defines them."""
        return {}

    def instruction(self, mnemonic: str, operands: str, statement: Statement, assembler: Assembler) -> bool:
        """Assemble one instruction with `assembler.append(fragment)`; False when the mnemonic is unknown.

        `operands` is the text after the mnemonic; it ends where statement.text ends. Mistakes are raised with
        `statement.error(text, index)`; index counts in statement.text.
        """
        raise NotImplementedError

    def directive(self, name: str, arguments: str, statement: Statement, assembler: Assembler) -> bool:
        """A directive that only this target has (`.option`, `.literal`, `.begin`); False when unknown."""
        return False

    def mnemonics(self) -> list[str]:
        """All words that `instruction` knows, for suggestions on a misspelt one."""
        return [*self.isa.instructions, *(name for name, _ in self.isa.aliases)]

    def label(self, name: str, assembler: Assembler) -> None:
        """A label is about to be defined at the current place (align it or end a pending literal pool here)."""

    def before_layout(self, sections: list[Section], assembler: Assembler) -> None:
        """All statements are read: place literal pools, insert fragments. Call `renumber` after insertions."""

    def code_alignment(self, alignment: int, maximum: int | None, statement: Statement) -> Align:
        """The fragment of an alignment directive in code without a fill value: pads with no-operations."""
        raise NotImplementedError

    def relocate_data(self, layout: Layout, fragment: Fragment, place: int, width: int, value: Value) -> int:
        """A data word that holds an address: note the relocation, return the number to store now."""
        kind = self.data_relocations.get(width)
        if kind is None or value.plus is None or value.minus is not None:
            problem = f"an address or difference like this does not fit in {width} byte(s)"
            raise AssemblyError(fragment.location, problem)
        layout.section_of(fragment).relocations.append(
            Relocation(place, kind, value.plus, value.constant, fragment.location)
        )
        return 0

    def apply(
        self,
        kind: str,
        data: bytearray,
        offset: int,
        place: int,
        value: int,
        find: Callable[[int], int | None],
    ) -> str | None:
        """Patch data[offset:] for a relocation at address `place` whose symbol + addend is `value`.

        `find(address)` gives the value (symbol + addend) of the relocation at another address, for pairs like
        %pcrel_hi/%pcrel_lo. Returns what is wrong (e.g. out of range), or None.
        """
        raise NotImplementedError

    def unknown_length(self, data: bytes, offset: int) -> int:
        """How many bytes a disassembler skips at a word that it does not know."""
        return min(self.isa.length_at(data[offset]), len(data) - offset)

    def operand_text(self, kind: str, value: int) -> str:
        """How the disassembler writes a register or other named operand value."""
        return str(value) if kind in ("imm", "pcrel") else f"{kind}{value}"

    def aliases(self, mnemonic: str, operands: list[str]) -> tuple[str, list[str]]:
        """A shorter spelling that the disassembler prefers (`nop` for `addi zero, zero, 0`)."""
        return mnemonic, operands


def renumber(section: Section) -> None:
    """Restore fragment indices after a target inserted or removed fragments."""
    for index, fragment in enumerate(section.fragments):
        fragment.index = index


def create(name: str, revision: int | None) -> Target:
    """The target of that name. Revision: ESP32-P4 only, 1 (chip below v3) or 3 (v3 and newer, the default)."""
    if name == "esp32p4":
        from pienn.isa.riscv import RiscV

        return RiscV(revision)
    if name == "esp32s3":
        from pienn.isa.xtensa import Xtensa

        return Xtensa(revision)
    load(name)  # raises with the list of targets
    raise AssertionError(name)
