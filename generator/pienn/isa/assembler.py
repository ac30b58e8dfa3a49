"""The assembler: GNU syntax in, `Object` out.

object = assemble(Path("conv2d_s8.S"), "esp32p4", revision=3)
image = object.link(0x4FF00000)          # bytes, symbols and source lines at fixed addresses
object.elf(), object.flat(0x4FF00000), object.listing()
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pienn.errors import PiennError
from pienn.isa import directives
from pienn.isa.expressions import Expression, ExpressionError, Name, Number, evaluate, parse
from pienn.isa.macros import MAXIMUM_DEPTH, Feed
from pienn.isa.object import Object
from pienn.isa.program import (
    MAXIMUM_FILL,
    Align,
    Bytes,
    Fill,
    Fragment,
    Layout,
    Section,
    Symbol,
    known_distance,
)
from pienn.isa.source import (
    AssemblyError,
    Location,
    Statement,
    needs_preprocessor,
    preprocess,
    statements,
)
from pienn.isa.target import create

MAXIMUM_ERRORS = 20

_LABEL = re.compile(r'\s*((?:[A-Za-z_.$][\w.$]*|\d+|"[^"]+"))\s*:(?!:)')
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_.$][\w.$]*)\s*=(?!=)")
_WORD = re.compile(r"\s*([A-Za-z_.][\w.$]*)(?:\s+|$)")


def assemble(
    source: str | Path,
    target: str,
    revision: int | None = None,
    include: Sequence[str | Path] = (),
    defines: dict[str, str] | None = None,
    name: str = "<source>",
) -> Object:
    """Assemble a file (a Path, or a str without line break that names one) or a text.

    `revision`: ESP32-P4 only, 1 (chip below v3, PIE 2p1) or 3 (default). Sources with `#` directives pass the C
    preprocessor with the folders of `include` and the macros of `defines`. `name` stands for the file of a text
    in messages. Raises AssemblyError, whose `errors` lists up to 20 mistakes.
    """
    if isinstance(source, Path) or ("\n" not in source and source.endswith((".S", ".s"))):
        path = Path(source)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise PiennError(f"{path}: cannot be read: {error.strerror}") from error
        name = str(path)
    else:
        text = source
    return Assembler(target, revision, include, defines or {}).run(text, name)


class Assembler:
    """State of one assembly; targets and directives work on it."""

    def __init__(
        self,
        target: str,
        revision: int | None,
        include: Sequence[str | Path] = (),
        defines: dict[str, str] | None = None,
    ) -> None:
        self.target = create(target, revision)
        self.include = [Path(folder) for folder in include]
        self.defines = defines or {}
        self.sections: dict[str, Section] = {}
        self.symbols: dict[str, Symbol] = {}
        self.numeric: dict[int, list[Symbol]] = {}
        self.local_names: set[str] = set()
        self.warnings: list[str] = []
        self.current = self.section(".text", "ax")
        self.previous = self.current
        self.section_stack: list[tuple[Section, Section]] = []
        self.statement = Statement("", Location("", 0))
        self.feed = Feed(self.number, self.is_defined)
        self.errors: list[AssemblyError] = []
        self.ahead = 0  # bytes of the statement being read that stand before its present operand

    # -- the run ------------------------------------------------------------------------------------------

    def run(self, text: str, name: str) -> Object:
        self.include_text(text, name)
        self._collect(self._read)
        self._collect(lambda: self.target.before_layout(list(self.sections.values()), self))
        self._check_labels()
        self._raise_errors()
        sections = list(self.sections.values())
        for section in sections:
            self._pad_to_alignment(section)
        layout = Layout(sections, self.target)
        layout.settle()
        self.warnings += layout.warnings
        return Object(self.target, self.sections, self.symbols, layout, self.warnings)

    def _pad_to_alignment(self, section: Section) -> None:
        """Sections end at a multiple of their alignment (merged ones do not), code filled with no-operations."""
        self.statement = Statement("", Location("<end>", 0))
        ends_padded = self.target.pads_section_ends and "M" not in section.flags
        if section.fragments and section.alignment > 1 and ends_padded:
            self.current = section
            self.align(section.alignment, None, None, self.statement, 1)

    def include_text(self, text: str, name: str) -> None:
        if needs_preprocessor(text, name) or self.defines:
            defines = {**self.target.predefined_macros(), **self.defines}
            text = preprocess(text, name, self.include, defines)
        if len(self.feed.stack) >= MAXIMUM_DEPTH:
            raise self.statement.error(f"files include each other more than {MAXIMUM_DEPTH} levels deep")
        self.feed.push(statements(text, name))

    def find_file(self, name: str, statement: Statement) -> Path:
        """A file named by a directive: beside the source or in an include folder."""
        folders = [Path(statement.location.file).parent, *self.include]
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        places = ", ".join(str(folder) for folder in folders)
        raise statement.error(f"file {name!r} is not in {places}: give its folder with -I")

    def _read(self) -> None:
        iterator = iter(self.feed)
        while True:
            try:
                statement = next(iterator)
                self._one(statement)
            except StopIteration:
                return
            except AssemblyError as error:
                self._note(error)
                iterator = iter(self.feed)

    def _collect(self, step: Callable[[], None]) -> None:
        try:
            step()
        except AssemblyError as error:
            self._note(error)

    def _note(self, error: AssemblyError) -> None:
        self.errors.append(error)
        if len(self.errors) >= MAXIMUM_ERRORS:
            self._raise_errors()

    def _raise_errors(self) -> None:
        if self.errors:
            self.errors[0].errors = self.errors
            raise self.errors[0]

    def _check_labels(self) -> None:
        for number, labels in self.numeric.items():
            if labels and not labels[-1].is_defined and labels[-1].location:
                location = labels[-1].location
                self._note(AssemblyError(location, f"there is no label {number}: after this line"))

    # -- one statement ------------------------------------------------------------------------------------

    def _one(self, statement: Statement) -> None:
        self.statement = statement
        text = statement.text
        index = 0
        while True:
            found = _LABEL.match(text, index)
            if not found:
                break
            self.define(found[1].strip('"'), statement, found.start(1))
            index = found.end()
        if index == len(text):
            return
        found = _ASSIGNMENT.match(text, index)
        if found:
            self.assign(found[1], text[found.end() :], statement, found.end())
            return
        found = _WORD.match(text, index)
        if not found:
            raise statement.error(f"{text[index:]!r} is no instruction, directive or label", index)
        word = found[1].lower()
        arguments = text[found.end() :]
        if word.startswith("."):
            if self.target.directive(word, arguments, statement, self):
                return
            if directives.run(word, arguments, statement, self):
                return
            if word == ".altmacro" or not self.target.instruction(word, arguments, statement, self):
                raise statement.error(f"unknown directive {word}" + _suggest(word, directives.names()), index)
            return
        if not self.target.instruction(word, arguments, statement, self):
            known = [*self.target.mnemonics(), *self.feed.macros]
            raise statement.error(
                f"unknown instruction {word} on {self._chip()}" + _suggest(word, known), found.start(1)
            )

    def _chip(self) -> str:
        revision = self.target.revision
        return self.target.name + (f" revision {revision}" if revision is not None else "")

    # -- symbols and expressions --------------------------------------------------------------------------

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name, made where it is new."""
        found = self.symbols.get(name)
        if found is None:
            found = self.symbols[name] = Symbol(name, location=self.statement.location)
        return found

    def here(self) -> Symbol:
        """A nameless symbol at the current place."""
        symbol = self._place(Symbol(""))
        symbol.offset += self.ahead
        return symbol

    def _place(self, symbol: Symbol) -> Symbol:
        fragments = self.current.fragments
        if not fragments:
            self.current.append(Bytes(self.statement.location))
        symbol.section, symbol.fragment, symbol.offset = self.current, fragments[-1], fragments[-1].size
        if not fragments[-1].fixed:  # its size may change: stand at the start of an empty fragment behind it
            self.current.append(Bytes(self.statement.location))
            symbol.fragment, symbol.offset = fragments[-1], 0
        return symbol

    def numeric_label(self, number: int, forward: bool) -> Symbol | None:
        labels = self.numeric.setdefault(number, [])
        if forward:
            if not labels or labels[-1].is_defined:
                labels.append(Symbol(f"{number}", location=self.statement.location))
            return labels[-1]
        defined = [label for label in labels if label.is_defined]
        return defined[-1] if defined else None

    def define(self, name: str, statement: Statement, index: int = 0) -> None:
        """Define a label at the current place."""
        self.target.label(name, self)
        if name.isdigit():
            pending = self.numeric_label(int(name), True)
            assert pending is not None
            self._place(pending)
            return
        symbol = self.symbol(name)
        if symbol.is_defined:
            where = f" at {symbol.location}" if symbol.location else ""
            raise statement.error(f"{name} is already defined{where}: choose another name", index)
        symbol.location = statement.location
        self._place(symbol)

    def assign(self, name: str, text: str, statement: Statement, index: int, once: bool = False) -> None:
        """`.set name, text` and `name = text`."""
        symbol = self.symbol(name)
        if symbol.fragment is not None or (once and symbol.is_defined):
            raise statement.error(f"{name} is already defined: choose another name for the value")
        expression = self.expression(text, statement, index)
        try:
            value = evaluate(expression, known_distance)
        except ExpressionError as error:
            if isinstance(expression, Name):
                raise statement.error(str(error), index) from error
            value = None
        if value is not None and value.is_absolute:
            expression = Number(value.constant)
        symbol.expression, symbol.variable, symbol.location = expression, True, statement.location

    def is_defined(self, name: str) -> bool:
        found = self.symbols.get(name)
        return found is not None and found.is_defined

    def expression(self, text: str, statement: Statement, index: int = 0) -> Expression:
        """Parse an expression; `index` is where it starts in statement.text, for messages."""
        try:
            return parse(text, self)
        except ExpressionError as error:
            raise statement.error(str(error), index + error.index) from error

    def number(self, text: str, statement: Statement, index: int | None = None) -> int:
        """The value of an expression that must be a number now."""
        if index is None:
            index = max(0, statement.text.find(text))
        expression = self.expression(text, statement, index)
        try:
            value = evaluate(expression, known_distance)
        except ExpressionError as error:
            raise statement.error(str(error), index) from error
        if not value.is_absolute:
            culprit = value.plus or value.minus
            name = culprit.name if culprit and culprit.name else "."
            state = "has no value yet" if culprit and not culprit.is_defined else "is an address"
            raise statement.error(f"a number is needed here, but {name} {state}", index)
        return value.constant

    # -- sections and fragments ---------------------------------------------------------------------------

    def section(self, name: str, flags: str | None = None) -> Section:
        found = self.sections.get(name)
        if found is None:
            found = Section(name, directives.default_flags(name) if flags is None else flags)
            if name.startswith((".bss", ".sbss", ".tbss")):
                found.type = "nobits"
            self.sections[name] = found
        return found

    def enter(self, section: Section) -> None:
        self.previous, self.current = self.current, section

    def append(self, fragment: Fragment) -> None:
        """Add a fragment to the current section."""
        fragment.text = self.statement.text
        if self.current.type == "nobits" and isinstance(fragment, Bytes) and any(fragment.data):
            raise self.statement.error(f"section {self.current.name} holds no data: use .space, or .data")
        self.current.append(fragment)

    def append_fill(self, fill: Fill) -> None:
        """Add a fill; one of known size cannot change any more."""
        assert fill.count is not None
        try:
            value = evaluate(fill.count, known_distance)
        except ExpressionError:
            value = None
        if value is not None and value.is_absolute:
            if not 0 <= value.constant <= MAXIMUM_FILL:
                raise self.statement.error(f"the size {value.constant} must be 0..{MAXIMUM_FILL}")
            fill.size, fill.fixed = value.constant * len(fill.unit), True
        self.append(fill)

    def align(
        self, alignment: int, fill: int | None, maximum: int | None, statement: Statement, width: int
    ) -> None:
        self.current.alignment = max(self.current.alignment, alignment)
        if fill is None and self.current.is_code:
            self.append(self.target.code_alignment(alignment, maximum, statement))
            return
        unit = ((fill or 0) & (1 << 8 * width) - 1).to_bytes(width, "little")
        self.append(Align(statement.location, alignment=alignment, fill=unit, maximum=maximum))


def _suggest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.75)
    return f": did you mean {' or '.join(close)}?" if close else ""
