"""Macros, repetition and conditional assembly: the stream of statements that the assembler works through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pienn.isa.source import AssemblyError, Location, Statement, split_operands, split_statements

MAXIMUM_DEPTH = 100
MAXIMUM_REPETITIONS = 1 << 20
_OPENERS = {
    ".macro": ".endm", ".rept": ".endr", ".rep": ".endr", ".irp": ".endr", ".irpc": ".endr",
}  # fmt: skip
_CLOSERS = {".endm": ".endm", ".endmacro": ".endm", ".endr": ".endr"}
_CONDITIONS = frozenset(
    ".if .ifdef .ifndef .ifnotdef .ifb .ifnb .ifc .ifnc .ifeqs .ifnes .ifeq .ifne .ifgt .ifge .iflt .ifle".split()
)
_WORD = re.compile(r"(?:[A-Za-z_.$][\w.$]*|\d+)\s*:\s*")


def directive_of(text: str) -> tuple[str, str]:
    """The first word of a statement (lower case, labels skipped) and the text after it."""
    while found := _WORD.match(text):
        text = text[found.end() :]
    word, _, rest = text.partition(" ")
    if "\t" in word:
        word, _, rest = text.replace("\t", " ", 1).partition(" ")
    return word.lower(), rest.strip()


@dataclass
class Parameter:
    name: str
    default: str | None = None
    required: bool = False
    vararg: bool = False


@dataclass
class Macro:
    name: str
    parameters: list[Parameter]
    body: list[Statement]
    location: Location


@dataclass
class _Condition:
    location: Location
    active: bool
    """Statements count now."""
    taken: bool
    """Some branch was active already."""
    outer: bool
    in_else: bool = False


@dataclass
class _Frame:
    statements: Iterator[Statement]
    is_macro: bool = False
    conditions: int = 0


@dataclass
class Feed:
    """Gives the assembler its statements, with macros expanded and conditions applied.

    `number(text, statement)` evaluates an expression that must be a number now; `is_defined(name)` tells
    whether a symbol has a value.
    """

    number: Callable[[str, Statement], int]
    is_defined: Callable[[str], bool]
    macros: dict[str, Macro] = field(default_factory=dict)
    stack: list[_Frame] = field(default_factory=list)
    conditions: list[_Condition] = field(default_factory=list)
    expansions: int = 0

    def push(self, statements: Iterator[Statement], is_macro: bool = False) -> None:
        self.stack.append(_Frame(statements, is_macro, len(self.conditions)))

    def __iter__(self) -> Iterator[Statement]:
        while self.stack:
            statement = self._next()
            if statement is None:
                continue
            word, rest = directive_of(statement.text)
            active = not self.conditions or self.conditions[-1].active
            if active and (word in _OPENERS or word in _CONDITIONS or word in self.macros):
                label = self._label(statement, word)
                if label is not None:
                    yield label
            if self._conditional(word, rest, statement) or not active:
                continue
            if not self._structural(word, rest, statement):
                yield statement
        if self.conditions:
            raise AssemblyError(self.conditions[-1].location, "this .if has no .endif: add one")

    def _next(self) -> Statement | None:
        frame = self.stack[-1]
        statement = next(frame.statements, None)
        if statement is None:
            self.stack.pop()
            if len(self.conditions) > frame.conditions and frame.is_macro:
                raise AssemblyError(
                    self.conditions[-1].location, "this .if has no .endif in its macro: add one"
                )
        return statement

    def _label(self, statement: Statement, word: str) -> Statement | None:
        """The labels before a macro call or repetition, as a statement of their own."""
        index = statement.text.lower().find(word)
        labels = statement.text[:index].strip()
        return replace(statement, text=labels) if labels else None

    # -- conditions ---------------------------------------------------------------------------------------

    def _conditional(self, word: str, rest: str, statement: Statement) -> bool:
        if word in _CONDITIONS:
            outer = not self.conditions or self.conditions[-1].active
            truth = outer and self._truth(word, rest, statement)
            self.conditions.append(_Condition(statement.location, truth, truth, outer))
        elif word in (".else", ".elseif", ".endif"):
            if not self.conditions:
                raise statement.error(f"{word} without .if before it: remove it or add the .if")
            condition = self.conditions[-1]
            if word == ".endif":
                self.conditions.pop()
            elif condition.in_else:
                raise statement.error(f"{word} after .else of the same .if: only .endif may follow")
            elif word == ".else":
                condition.active = condition.outer and not condition.taken
                condition.in_else = True
            else:
                open_ = condition.outer and not condition.taken
                condition.active = open_ and self._truth(".if", rest, statement)
                condition.taken = condition.taken or condition.active
        else:
            return False
        return True

    def _truth(self, word: str, rest: str, statement: Statement) -> bool:
        if word == ".ifdef":
            return self.is_defined(rest)
        if word in (".ifndef", ".ifnotdef"):
            return not self.is_defined(rest)
        if word in (".ifb", ".ifnb"):
            return (not rest) == (word == ".ifb")
        if word in (".ifc", ".ifnc", ".ifeqs", ".ifnes"):
            parts = [text.strip("'\"") if text[:1] in "'\"" else text for text, _ in split_operands(rest)]
            if len(parts) < 2 and rest.strip().startswith(","):
                parts = ["", rest.strip()[1:].strip()]
            parts += [""] * (2 - len(parts))
            return (parts[0] == parts[1]) == (word in (".ifc", ".ifeqs"))
        if not rest:
            raise statement.error(f"{word} needs an expression")
        value = self.number(rest, statement)
        return {
            ".if": value != 0, ".ifne": value != 0, ".ifeq": value == 0, ".ifgt": value > 0,
            ".ifge": value >= 0, ".iflt": value < 0, ".ifle": value <= 0,
        }[word]  # fmt: skip

    # -- macros and repetition ----------------------------------------------------------------------------

    def _structural(self, word: str, rest: str, statement: Statement) -> bool:
        if word == ".macro":
            self._define(rest, statement)
        elif word in (".rept", ".rep"):
            body = self._collect(word, statement)
            count = self.number(rest, statement)
            if count > MAXIMUM_REPETITIONS:
                raise statement.error(
                    f"{word} {count} times is more than {MAXIMUM_REPETITIONS}: use .fill for data"
                )
            if count < 0:  # GNU as refuses it too
                raise statement.error(f"{word} {count} times: put it into an .if")
            self._enter((s for _ in range(count) for s in body), statement, ".rept", False)
        elif word in (".irp", ".irpc"):
            self._repeat_for(word, rest, statement)
        elif word in _CLOSERS:
            raise statement.error(f"{word} without its opening directive: remove it or add the opening")
        elif word == ".exitm":
            self._leave_macro(statement)
        elif word == ".purgem":
            if self.macros.pop(rest.lower(), None) is None:
                raise statement.error(f".purgem: there is no macro {rest!r}")
        elif word in self.macros:
            self._call(self.macros[word], statement)
        else:
            return False
        return True

    def _collect(self, opener: str, opening: Statement) -> list[Statement]:
        closers = [_OPENERS[opener]]
        body: list[Statement] = []
        while True:
            statement = next(self.stack[-1].statements, None)
            if statement is None:
                raise opening.error(f"{opener} has no {closers[-1]}: add one")
            word, _ = directive_of(statement.text)
            if word in _OPENERS:
                closers.append(_OPENERS[word])
            elif word in _CLOSERS:
                if _CLOSERS[word] != closers[-1]:
                    raise statement.error(f"{word} where {closers[-1]} is expected")
                closers.pop()
                if not closers:
                    return body
            body.append(statement)

    def _define(self, rest: str, statement: Statement) -> None:
        found = re.match(r"([A-Za-z_.$][\w.$]*)\s*,?\s*", rest)
        if not found:
            raise statement.error(".macro needs a name")
        parameters: list[Parameter] = []
        for word in macro_arguments(rest[found.end() :]):
            name, _, default = word.partition("=")
            name, _, qualifier = name.strip().partition(":")
            if qualifier not in ("", "req", "vararg"):
                raise statement.error(
                    f"macro parameter {name}: unknown qualifier {qualifier!r}, use req or vararg"
                )
            text = _unquote(default.strip()) if "=" in word else None
            parameters.append(Parameter(name, text, qualifier == "req", qualifier == "vararg"))
        body = self._collect(".macro", statement)
        self.macros[found[1].lower()] = Macro(found[1], parameters, body, statement.location)

    def _call(self, macro: Macro, statement: Statement) -> None:
        index = statement.text.lower().find(macro.name.lower())
        arguments = statement.text[index + len(macro.name) :].strip()
        values = _bind(macro, arguments, statement)
        self.expansions += 1
        values["@"] = str(self.expansions - 1)
        call = f"macro {macro.name} called at {statement.location}"
        names = [p.name for p in macro.parameters]
        body = _expand(macro.body, values, names, (call, *statement.location.macro))
        self._enter(iter(body), statement, f"macro {macro.name}", True)

    def _repeat_for(self, word: str, rest: str, statement: Statement) -> None:
        body = self._collect(word, statement)
        found = re.match(r"([A-Za-z_.$][\w.$]*)\s*,?\s*", rest)
        if not found:
            raise statement.error(f"{word} needs a name and values")
        name, values = found[1], rest[found.end() :]
        items = list(_unquote(values.strip())) if word == ".irpc" else macro_arguments(values)
        expanded: list[Statement] = []
        for item in items or [""]:
            text = _unquote(item)
            expanded += _expand(body, {name: text}, None, ())
        self._enter(iter(expanded), statement, word, False)

    def _enter(self, body: Iterator[Statement], statement: Statement, what: str, is_macro: bool) -> None:
        if len(self.stack) >= MAXIMUM_DEPTH:
            raise statement.error(f"{what} nests more than {MAXIMUM_DEPTH} levels: does it call itself?")
        self.push(body, is_macro)

    def _leave_macro(self, statement: Statement) -> None:
        while self.stack and not self.stack[-1].is_macro:
            self.stack.pop()
        if not self.stack:
            raise statement.error(".exitm outside a macro: remove it")
        frame = self.stack.pop()
        del self.conditions[frame.conditions :]


def macro_arguments(text: str) -> list[str]:
    """Arguments of a macro call: separated by commas, or by white space between two words."""
    arguments: list[str] = []
    for piece, _ in split_operands(text):
        # white space separates, except around operators and inside quotes or brackets
        parts = re.split(r"""(?<=[\w)\]"'])\s+(?=[\w\\"'.$%]|-?\d+\s*$)(?=(?:[^"]*"[^"]*")*[^"]*$)""", piece)
        if "(" in piece and len(parts) > 1 and any(part.count("(") != part.count(")") for part in parts):
            parts = [piece]
        arguments += parts
    return arguments


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _bind(macro: Macro, text: str, statement: Statement) -> dict[str, str]:
    """Parameter values of one call."""
    values: dict[str, str] = {}
    position = 0
    names = {p.name: p for p in macro.parameters}
    arguments = macro_arguments(text)
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        keyword = re.match(r"([A-Za-z_.$][\w.$]*)\s*=(?!=)\s*", argument)
        if keyword and keyword[1] in names:
            values[keyword[1]] = _unquote(argument[keyword.end() :])
            index += 1
            continue
        if keyword and not any(p.vararg for p in macro.parameters):
            raise statement.error(
                f"macro {macro.name} has no argument {keyword[1]!r}; it takes {_signature(macro)}",
                max(0, statement.text.find(keyword[1])),
            )
        if position >= len(macro.parameters):
            raise statement.error(
                f"macro {macro.name} is given too many arguments ({argument!r}); it takes {_signature(macro)}",
                max(0, statement.text.rfind(argument)),
            )
        parameter = macro.parameters[position]
        if parameter.vararg:
            values[parameter.name] = ", ".join(arguments[index:])
            break
        if argument:
            values[parameter.name] = _unquote(argument)
        position += 1
        index += 1
    for parameter in macro.parameters:
        if parameter.name not in values:
            if parameter.required:
                raise statement.error(
                    f"macro {macro.name}: argument {parameter.name} is required; it takes {_signature(macro)}"
                )
            values[parameter.name] = parameter.default or ""
    return values


def _signature(macro: Macro) -> str:
    return ", ".join(p.name for p in macro.parameters) or "none"


_REFERENCE = re.compile(r"\\(?:(\(\))|(@)|([A-Za-z_.$][\w.$]*))")


def _expand(
    body: list[Statement], values: dict[str, str], declared: list[str] | None, trail: tuple[str, ...]
) -> list[Statement]:
    """The body with `\\name`, `\\@` and `\\()` replaced.

    `declared` (macros only) makes an unknown name a mistake and lists the known ones for the message.
    """
    result: list[Statement] = []
    nested = 0
    for original in body:
        statement = replace(original, location=replace(original.location, macro=trail)) if trail else original
        word, _ = directive_of(statement.text)
        nested += word in _OPENERS

        def substitute(found: re.Match[str], statement: Statement = statement, nested: int = nested) -> str:
            if found[1]:
                return "" if declared is not None else found[0]
            if found[2]:
                return values.get("@", found[0])
            name = found[3]
            for length in range(len(name), 0, -1):
                if name[:length] in values:
                    return values[name[:length]] + name[length:]
            quoted = statement.text.count('"', 0, found.start()) % 2 == 1
            if declared is not None and not nested and not quoted:
                known = ", ".join(f"\\{name}" for name in declared) or "none"
                raise statement.error(f"the macro has no argument \\{name}; it has {known}", found.start())
            return found[0]

        text = _REFERENCE.sub(substitute, statement.text)
        nested -= word in _CLOSERS
        result.extend(split_statements(text, statement.location))
    return result
