"""Assembly source as a stream of statements: files, the C preprocessor, comments, line numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pienn.errors import PiennError


@dataclass(frozen=True)
class Location:
    """A place in the source; `macro` is the chain of macro calls that led there, innermost first."""

    file: str
    line: int
    column: int = 1
    macro: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class AssemblyError(PiennError):
    """A mistake in the source: `file:line:column: error: what is wrong; the way out`."""

    def __init__(self, location: Location, text: str) -> None:
        trail = "".join(f" (in {call})" for call in location.macro)
        super().__init__(f"{location}: error: {text}{trail}")
        self.location = location
        self.errors: list[AssemblyError] = [self]


@dataclass(frozen=True)
class Statement:
    """One statement without comment; `text` starts at `location`, labels not yet taken off."""

    text: str
    location: Location

    def at(self, index: int) -> Location:
        """The location of text[index]."""
        return replace(self.location, column=self.location.column + index)

    def error(self, text: str, index: int = 0) -> AssemblyError:
        return AssemblyError(self.at(index), text)


_DIRECTIVE = re.compile(
    r"^[ \t]*#(include|define|undef|if|ifdef|ifndef|elif|else|endif|error|pragma)\b", re.M
)
_MARKER = re.compile(r'^#\s*(?:line\s+)?(\d+)\s+"((?:[^"\\]|\\.)*)"')


def needs_preprocessor(text: str, file: str) -> bool:
    """Whether the text has `#` directives; `# if` with a space is a comment, and `.s` files are never preprocessed."""
    return not file.endswith(".s") and _DIRECTIVE.search(text) is not None


def preprocess(text: str, file: str, include: Sequence[str | Path], defines: dict[str, str]) -> str:
    """The text after the host's C preprocessor, with line markers; mistakes keep file, line and column."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise PiennError(
            f"{file}: the source has # directives and needs a C preprocessor: install cc (gcc or clang)"
        )
    command = [compiler, "-E", "-undef", "-x", "assembler-with-cpp"]
    path = Path(file)
    is_file = path.is_file()
    for folder in [path.parent if is_file else Path(), *include]:
        command += ["-I", str(folder)]
    command += [f"-D{name}={value}" for name, value in defines.items()]
    result = subprocess.run(
        [*command, str(path) if is_file else "-"],
        input=None if is_file else text,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        for line in result.stderr.splitlines():
            found = re.match(r"(.*?):(\d+):(\d+): (?:fatal )?error: (.*)", line)
            if found:
                name = file if found[1] == "<stdin>" else found[1]
                raise AssemblyError(Location(name, int(found[2]), int(found[3])), found[4])
        raise PiennError(f"{file}: the C preprocessor failed: {result.stderr.strip().splitlines()[-1]}")
    return result.stdout.replace('"<stdin>"', f'"{file}"')


def statements(text: str, file: str, separators: str = ";") -> Iterator[Statement]:
    """Statements of (preprocessed) text, comments removed: `#`, `//` and `/* */`; `;` separates."""
    name, line = file, 0
    in_comment = False
    for raw in text.splitlines():
        marker = None if in_comment else _MARKER.match(raw)
        if marker:
            name, line = marker[2], int(marker[1]) - 1
            continue
        line += 1
        cleaned, in_comment = _strip_comments(raw, in_comment)
        yield from split_statements(cleaned, Location(name, line), separators)


def split_statements(text: str, location: Location, separators: str = ";") -> Iterator[Statement]:
    """The statements of one line without comments."""
    start = 0
    ends = [index for index, character in _plain(text) if character in separators]
    for index in [*ends, len(text)]:
        piece = text[start:index]
        stripped = piece.strip()
        if stripped:
            column = location.column + start + len(piece) - len(piece.lstrip())
            yield Statement(stripped, replace(location, column=column))
        start = index + 1


_OPAQUE = r'"(?:[^"\\]|\\.)*(?:"|$)|\'(?:\\.|[^\\])\'?'
"""A string or a character constant ('a or 'a')."""
_QUOTED = re.compile(_OPAQUE)
_COMMENT = re.compile(_OPAQUE + r"|/\*|//|#")


def _plain(text: str) -> Iterator[tuple[int, str]]:
    """Index and character of everything outside strings and character constants."""
    start = 0
    for found in _QUOTED.finditer(text):
        yield from enumerate(text[start : found.start()], start)
        start = found.end()
    yield from enumerate(text[start:], start)


def _strip_comments(text: str, in_comment: bool) -> tuple[str, bool]:
    """The line with comments blanked (columns kept), and whether a /* comment stays open."""
    index = 0
    while True:
        if in_comment:
            end = text.find("*/", index)
            stop = len(text) if end < 0 else end + 2
            text = text[:index] + " " * (stop - index) + text[stop:]
            if end < 0:
                return text.rstrip(), True
            in_comment, index = False, stop
        found = _COMMENT.search(text, index)
        if found is None:
            return text.rstrip(), False
        index = found.end()
        if found[0] in ("//", "#"):
            return text[: found.start()].rstrip(), False
        if found[0] == "/*":
            in_comment, index = True, found.start()


def split_operands(text: str) -> list[tuple[str, int]]:
    """Operands separated by commas outside brackets and strings, each with its index in `text`."""
    commas: list[int] = []
    depth = 0
    for index, character in _plain(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth <= 0:
            commas.append(index)
    operands: list[tuple[str, int]] = []
    start = 0
    for index in [*commas, len(text)]:
        piece = text[start:index]
        operands.append((piece.strip(), start + len(piece) - len(piece.lstrip())))
        start = index + 1
    return [] if operands == [("", 0)] else operands
