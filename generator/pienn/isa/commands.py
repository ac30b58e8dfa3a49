"""The commands `pienn asm`, `pienn disasm` and `pienn isa`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from pienn.errors import PiennError
from pienn.isa import documents
from pienn.isa.assembler import assemble
from pienn.isa.disassembler import CodeSection, code_sections, disassemble_section
from pienn.isa.source import AssemblyError
from pienn.isa.table import TARGETS, load

_target = click.option("--target", type=click.Choice(TARGETS), required=True, help="Chip.")
_revision = click.option(
    "--revision",
    type=click.Choice(["1", "3"]),
    help="ESP32-P4 only: 1 = chip below v3 (PIE 2p1), 3 = v3 and newer (PIE 2p2, the default).",
)


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@_target
@_revision
@click.option(
    "-I", "--include", multiple=True, type=click.Path(file_okay=False), help="Folder of #include files."
)
@click.option("-D", "--define", multiple=True, metavar="NAME[=VALUE]", help="Macro for the C preprocessor.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["bin", "elf", "listing"]),
    default="elf",
    show_default=True,
    help="bin = flat image at --base, elf = relocatable object, listing = text.",
)
@click.option("--base", default="0", help="Address of a flat image (default 0).")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Output file.")
@click.option(
    "--gnu-macros",
    is_flag=True,
    help="Instead of assembling, write macros that teach the chip's PIE instructions to a plain GNU assembler.",
)
def asm(
    source: Path | None,
    target: str,
    revision: str | None,
    include: tuple[str, ...],
    define: tuple[str, ...],
    form: str,
    base: str,
    output: Path | None,
    gnu_macros: bool,
) -> None:
    """Assemble SOURCE (GNU syntax; `.S` with # directives passes the C preprocessor).

    Every mistake of the file is a line of its own; exit code 2.

    \b
    pienn asm kernel.S --target esp32p4 -I include -o kernel.o
    pienn asm kernel.S --target esp32p4 --revision 1 --format listing
    pienn asm kernel.S --target esp32s3 --format bin --base 0x3fc90000 -o kernel.bin
    pienn asm --gnu-macros --target esp32p4 -o pie.inc
    """
    number = int(revision) if revision else None
    if gnu_macros:
        from pienn.isa.gnu_macros import macros

        _write(output, macros(target, number).encode())
        return
    if source is None:
        raise click.UsageError("Missing argument 'SOURCE'.")
    defines = {name: value or "1" for name, _, value in (text.partition("=") for text in define)}
    try:
        object_ = assemble(source, target, number, include, defines)
        for warning in object_.warnings:
            click.echo(warning, err=True)
        if form == "elf":
            data = object_.elf()
        elif form == "listing":
            data = object_.listing().encode()
        else:
            data = object_.flat(_address(base))
    except AssemblyError as error:
        for one in error.errors:
            click.echo(str(one), err=True)
        sys.exit(2)
    _write(output, data, binary=form != "listing")


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise PiennError(f"--base {text}: not a number: write it like 0x4ff00000") from None


def _write(output: Path | None, data: bytes, binary: bool = False) -> None:
    if output is None:
        if binary and sys.stdout.isatty():
            raise PiennError("the output is binary: name a file with -o")
        sys.stdout.buffer.write(data)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise PiennError(f"{output}: cannot be written: {error.strerror}") from error


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_target
@_revision
@click.option("--base", default="0", help="Address of the first byte of a flat image.")
def disasm(file: Path, target: str, revision: str | None, base: str) -> None:
    """Disassemble FILE: an ELF file's code sections, or a flat image from its first byte.

    \b
    pienn disasm kernel.o --target esp32p4
    pienn disasm kernel.bin --target esp32s3 --base 0x3fc90000
    """
    data = file.read_bytes()
    if data[:4] == b"\x7fELF":
        sections = code_sections(data, str(file))
    else:
        sections = [CodeSection("", _address(base), data, {})]
    for section in sections:
        if section.name:
            click.echo(f"section {section.name}")
        for one in disassemble_section(section, target, int(revision) if revision else None):
            if one.address in section.symbols:
                click.echo(f"{section.symbols[one.address]}:")
            word = one.data[::-1].hex()
            click.echo(f"{one.address:8x}:  {word:<8}  {one.text}")


@click.group()
def isa() -> None:
    """Look up instructions, or write the documents made from the tables.

    \b
    pienn isa list srcmb --target esp32p4
    pienn isa show esp.vmulas.s8.qacc.ld.ip --target esp32p4
    """


@isa.command("list")
@_target
@_revision
@click.argument("pattern", default="")
def list_(target: str, revision: str | None, pattern: str) -> None:
    """List the instructions whose mnemonic contains PATTERN.

    \b
    pienn isa list srcmb --target esp32p4 --revision 3
    pienn isa list --target esp32s3 ee.vld
    """
    table = load(target)
    chosen = [
        i
        for i in table.instructions.values()
        if pattern in i.mnemonic and (revision is None or i.encoding(int(revision)) is not None)
    ]
    width = max((len(i.syntax) for i in chosen), default=0)
    for instruction in chosen:
        text = instruction.description or instruction.formula
        click.echo(f"{instruction.syntax:<{min(width, 60)}}  {text}")
    if not chosen:
        raise PiennError(f"no instruction of {target} contains {pattern!r}")


@isa.command("show")
@click.argument("mnemonic")
@_target
def show(mnemonic: str, target: str) -> None:
    """Show one instruction: syntax, bits, limits, meaning.

    \b
    pienn isa show ee.vmulas.s8.qacc --target esp32s3
    """
    table = load(target)
    name = mnemonic.lower()
    instruction = table.instructions.get(name) or table.find(name)
    if instruction is None:
        close = difflib.get_close_matches(name, table.instructions, n=3)
        hint = f": did you mean {' or '.join(close)}?" if close else f": see pienn isa list --target {target}"
        raise PiennError(f"{target} has no instruction {mnemonic}{hint}")
    click.echo(documents.show(table, instruction))


@isa.command("docs")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to.",
)
def docs(output: Path) -> None:
    """Write one Markdown page per chip.

    \b
    pienn isa docs -o docs/isa
    """
    output.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        path = output / f"{target}.md"
        path.write_text(documents.document(load(target)), encoding="utf-8")
        click.echo(path)
