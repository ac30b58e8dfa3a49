"""What the documents say is so: links lead somewhere, commands parse, examples are Python, files are there."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from pienn import cli

CHECKOUT = Path(__file__).resolve().parent.parent
SKIPPED = {".git", ".venv", "build"}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that belongs to the project: what git knows, or all of an unpacked archive."""
    found = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True)
    if found.returncode == 0:
        names = [CHECKOUT / name for name in found.stdout.split("\0") if name]
        return tuple(path for path in names if path.is_file())
    return tuple(
        path
        for path in sorted(CHECKOUT.rglob("*"))
        if path.is_file() and not SKIPPED & set(path.relative_to(CHECKOUT).parts)
    )


DOCUMENTS = [str(path.relative_to(CHECKOUT)) for path in project_files() if path.suffix == ".md"]


def read(document: str) -> str:
    return (CHECKOUT / document).read_text(encoding="utf-8")


def code_blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of fenced blocks; blocks by indentation have the language ''."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield language, block
    prose = without_fences(text)
    for block in re.findall(r"(?:^(?: {4}.*)?\n)+", prose, re.MULTILINE):
        if block.strip():
            yield "", re.sub(r"^ {4}", "", block, flags=re.MULTILINE)


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def code_spans(text: str) -> list[str]:
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_fences(text))]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.+)$", without_fences(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_fences(read(document))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (CHECKOUT / document).parent / name if name else CHECKOUT / document
        if not path.exists() or (heading and heading not in anchors(path.read_text(encoding="utf-8"))):
            wrong.append(target)
    assert not wrong, f"{document}: {', '.join(wrong)}"


# ---- Commands ----


def command_lines(text: str) -> Iterator[str]:
    """Whole `pienn ...` lines of code blocks, without comments, continued lines joined."""
    for _, block in code_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"pienn\s", line):
                yield line


def mistakes(line: str) -> str | None:
    """What is wrong with a command line as written, or None; files it names need not exist."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli.pienn
    context = click.Context(command, info_name="pienn")
    while isinstance(command, click.Group):
        if not words:
            return None  # a group alone is named, not called
        found = command.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]}" if not words[0].startswith("-") else None
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    try:
        values, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.ClickException as error:
        return error.format_message()
    if rest:
        return f"too many arguments: {' '.join(rest)}"
    for parameter in command.params:
        value = values.get(parameter.name)
        if isinstance(parameter.type, click.Choice) and value not in (None, ""):
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(one, str) and one not in parameter.type.choices and not one.isupper():
                    return f"{parameter.name} is not {one}"
    return None


def commands(command: click.Command = cli.pienn, path: str = "pienn") -> Iterator[tuple[str, click.Command]]:
    """Every command and group with its words."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} {name} is listed but does not exist"
            yield from commands(inner, f"{path} {name}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_as_the_program_has_them(document: str) -> None:
    text = read(document)
    spans = [span for span in code_spans(text) if span.startswith("pienn ") and "=" not in span]
    wrong = [
        f"{line.strip()}: {mistake}"
        for line in [*command_lines(text), *spans]
        if (mistake := mistakes(line)) is not None
    ]
    assert not wrong, f"{document}:\n" + "\n".join(wrong)


def test_every_command_shows_examples_of_itself_that_are_right() -> None:
    wrong = []
    for path, command in commands():
        text = command.help or ""
        examples = [line.strip() for line in text.splitlines() if line.strip().startswith("pienn ")]
        if not any(example.startswith(path + " ") for example in examples):
            wrong.append(f"{path} --help has no example")
        wrong += [f"{path} --help: {one}: {mistakes(one)}" for one in examples if mistakes(one) is not None]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pienn compile model.pie --targt host -o out", "--targt"),
        ("pienn compile model.pie --target z80 -o out", "z80"),
        ("pienn simulate model.pie", "simulate"),
        ("pienn sim walk program.elf", "walk"),
        ("pienn inspect a.pie b.pie", "b.pie"),
    ],
)
def test_wrong_command_lines_are_seen(line: str, expected: str) -> None:
    mistake = mistakes(line)
    assert mistake is not None and expected in mistake


# ---- Code and files ----


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples_compile_and_import_what_exists(document: str) -> None:
    for language, block in code_blocks(read(document)):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pienn":
                module = CHECKOUT / "generator" / Path(*(node.module or "").split("."))
                source = next(p for p in (module.with_suffix(".py"), module / "__init__.py") if p.is_file())
                for alias in node.names:
                    assert re.search(rf"\b{alias.name}\b", source.read_text(encoding="utf-8")), alias.name


FOLDERS = sorted({path.relative_to(CHECKOUT).parts[0] for path in project_files()} - {"build"})


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_code_spans_exist(document: str) -> None:
    """Spans that begin with a folder of the checkout are files or folders in it."""
    wrong = []
    for span in code_spans(read(document)):
        if not re.fullmatch(r"[\w.*<>-]+(/[\w.*<>-]+)*/?", span) or span.split("/")[0] not in FOLDERS:
            continue
        if not any(CHECKOUT.glob(re.sub(r"<\w+>", "*", span.rstrip("/")))):
            wrong.append(span)
    assert not wrong, f"{document}: {', '.join(wrong)}"


PACKAGE_PAGES = [
    name for name in DOCUMENTS if name.startswith("generator/pienn/") and "| file |" in read(name)
]


@pytest.mark.parametrize("document", PACKAGE_PAGES)
def test_tables_of_files_list_files(document: str) -> None:
    folder = (CHECKOUT / document).parent
    wrong = []
    for cell in re.findall(r"^\| *(`[^|]+) *\|", read(document), re.MULTILINE):
        for name in re.findall(r"`([\w.*<>-]+\.\w+)`", cell):
            if "generated" not in cell and not any(folder.glob(re.sub(r"<\w+>", "*", name))):
                wrong.append(name)
    assert not wrong, f"{document}: {', '.join(wrong)}"


PLACES_OF_ONE_MACHINE = re.compile(r"(?<![\w.])/(?:wor[k]|tm[p]|hom[e]|roo[t])/|found[i]ng notes")


def test_nothing_names_places_of_one_machine() -> None:
    wrong = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for match in PLACES_OF_ONE_MACHINE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            wrong.append(f"{path.relative_to(CHECKOUT)}:{line}: {match.group()}")
    assert not wrong, "\n".join(wrong)
