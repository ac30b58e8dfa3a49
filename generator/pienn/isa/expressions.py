"""Expressions of GNU assembly: numbers, symbols, `.`, numeric labels, operators, `%hi(...)`-like functions.

An expression is parsed where it stands and evaluated twice at most: at once, for directives that need a
number, and after layout, for everything that may depend on addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pienn.isa.program import Symbol


class ExpressionError(Exception):
    """A mistake in an expression; `index` is its place in the text."""

    def __init__(self, text: str, index: int = 0) -> None:
        super().__init__(text)
        self.index = index


@dataclass(frozen=True)
class Number:
    value: int


@dataclass(frozen=True)
class Name:
    symbol: Symbol


@dataclass(frozen=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Function:
    """`%name(operand)`: which part of an address is meant; the target knows the names."""

    name: str
    operand: Expression


Expression = Number | Name | Unary | Binary | Function


@dataclass(frozen=True)
class Value:
    """constant + address of plus - address of minus (None: nothing)."""

    constant: int
    plus: Symbol | None = None
    minus: Symbol | None = None

    @property
    def is_absolute(self) -> bool:
        return self.plus is None and self.minus is None


class Scope(Protocol):
    """What the parser asks the assembler."""

    def here(self) -> Symbol:
        """A nameless symbol at the current place."""
        ...

    def symbol(self, name: str) -> Symbol: ...

    def numeric_label(self, number: int, forward: bool) -> Symbol | None: ...


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<label>\d+[fb](?![\w.$]))
  | (?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)(?![\w])
  | (?P<character>'(?:\\.|[^\\])'?)
  | (?P<name>[A-Za-z_.$][\w.$]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<function>%[A-Za-z_]\w*)(?=\s*\()
  | (?P<operator><<|>>|<=|>=|==|!=|<>|&&|\|\||[-+*/%&|^!~<>()])
)""",
    re.VERBOSE,
)

_PRECEDENCE = {
    "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<>": 3, "<": 3, ">": 3, "<=": 3, ">=": 3,
    "+": 4, "-": 4,
    "|": 5, "&": 5, "^": 5, "!": 5,
    "*": 6, "/": 6, "%": 6, "<<": 6, ">>": 6,
}  # fmt: skip


def parse(text: str, scope: Scope) -> Expression:
    """The expression that `text` is; ExpressionError where it is none."""
    parser = _Parser(text, scope)
    expression = parser.binary(0)
    parser.skip_blank()
    if parser.index < len(text):
        raise ExpressionError(f"unexpected {text[parser.index :]!r} after the expression", parser.index)
    return expression


class _Parser:
    def __init__(self, text: str, scope: Scope) -> None:
        self.text = text
        self.scope = scope
        self.index = 0

    def skip_blank(self) -> None:
        while self.index < len(self.text) and self.text[self.index].isspace():
            self.index += 1

    def token(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.index)

    def binary(self, minimum: int) -> Expression:
        left = self.primary()
        while True:
            found = self.token()
            operator = found["operator"] if found else None
            rank = _PRECEDENCE.get(operator or "", 0)
            if found is None or operator is None or rank <= minimum:
                return left
            self.index = found.end()
            right = self.binary(rank)
            left = _fold(Binary(operator, left, right))

    def primary(self) -> Expression:
        found = self.token()
        if found is None:
            self.skip_blank()
            rest = self.text[self.index :]
            problem = f"{rest!r} is not a number or symbol" if rest else "a number or symbol is missing"
            raise ExpressionError(problem, self.index)
        start = self.index
        self.index = found.end()
        if found["label"]:
            number, forward = int(found["label"][:-1]), found["label"][-1] == "f"
            symbol = self.scope.numeric_label(number, forward)
            if symbol is None:
                raise ExpressionError(f"there is no label {number}: before this line", start)
            return Name(symbol)
        if found["number"]:
            return Number(_number(found["number"]))
        if found["character"]:
            return Number(_character(found["character"]))
        if found["name"]:
            return self.name(found["name"])
        if found["string"]:
            return self.name(found["string"][1:-1])
        if found["function"]:
            opening = self.token()
            assert opening is not None
            self.index = opening.end()
            return Function(found["function"][1:], self.closing())
        operator = found["operator"]
        if operator == "(":
            return self.closing()
        if operator in "+-~!":
            operand = self.primary()
            return operand if operator == "+" else _fold(Unary(operator, operand))
        raise ExpressionError(f"unexpected {operator!r}", start)

    def name(self, name: str) -> Expression:
        if name == ".":
            return Name(self.scope.here())
        symbol = self.scope.symbol(name)
        if isinstance(symbol.expression, Number) and symbol.variable:
            return symbol.expression  # a .set symbol counts with its value at this place
        return Name(symbol)

    def closing(self) -> Expression:
        inner = self.binary(0)
        found = self.token()
        if found is None or found["operator"] != ")":
            raise ExpressionError("a closing parenthesis is missing", self.index)
        self.index = found.end()
        return inner


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text[:2] in ("0b", "0B"):
        return int(text, 2)
    if len(text) > 1 and text[0] == "0":
        try:
            return int(text, 8)
        except ValueError:
            raise ExpressionError(f"{text} starts with 0 and is no octal number") from None
    return int(text)


_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "v": 11, "0": 0, "\\": 92, "'": 39, '"': 34}


def _character(text: str) -> int:
    body = text[1:]
    if body.startswith("\\"):
        return _ESCAPES.get(body[1], ord(body[1]))
    return ord(body[0])


def _fold(expression: Unary | Binary) -> Expression:
    """A constant expression as its number."""
    parts = [expression.operand] if isinstance(expression, Unary) else [expression.left, expression.right]
    if all(isinstance(part, Number) for part in parts):
        return Number(evaluate(expression).constant)
    return expression


class Distances(Protocol):
    """Tells the distance between two symbols in bytes, or None while it is not known."""

    def __call__(self, plus: Symbol, minus: Symbol) -> int | None: ...


def evaluate(expression: Expression, distance: Distances | None = None) -> Value:
    """The value as far as it is known; ExpressionError where an operator needs a number and has an address."""
    if isinstance(expression, Number):
        return Value(expression.value)
    if isinstance(expression, Name):
        symbol = expression.symbol
        if symbol.expression is not None:
            if symbol.evaluating:
                raise ExpressionError(f"the value of {symbol.name} depends on itself")
            symbol.evaluating = True
            try:
                return evaluate(symbol.expression, distance)
            finally:
                symbol.evaluating = False
        return Value(0, symbol)
    if isinstance(expression, Function):
        raise ExpressionError(f"%{expression.name} cannot be part of a larger expression here")
    if isinstance(expression, Unary):
        value = evaluate(expression.operand, distance)
        if expression.operator == "-":
            return _simplify(Value(-value.constant, value.minus, value.plus), distance)
        number = _absolute(value, expression.operator)
        return Value(~number if expression.operator == "~" else int(not number))
    left, right = evaluate(expression.left, distance), evaluate(expression.right, distance)
    operator = expression.operator
    if operator == "+":
        if (left.plus and right.plus) or (left.minus and right.minus):
            raise ExpressionError("two addresses cannot be added: take a difference or a constant")
        sum_ = Value(left.constant + right.constant, left.plus or right.plus, left.minus or right.minus)
        return _simplify(sum_, distance)
    if operator == "-" or (_PRECEDENCE[operator] == 3 and not (left.is_absolute and right.is_absolute)):
        if (left.plus and right.minus) or (left.minus and right.plus):
            raise ExpressionError("an expression may hold one address and one subtracted address")
        difference = Value(left.constant - right.constant, left.plus or right.minus, left.minus or right.plus)
        difference = _simplify(difference, distance)
        if operator == "-":
            return difference
        return Value(_compare(operator, _absolute(difference, operator), 0))
    return Value(_compute(operator, _absolute(left, operator), _absolute(right, operator)))


def _simplify(value: Value, distance: Distances | None) -> Value:
    if value.plus is None or value.minus is None:
        return value
    if value.plus is value.minus:
        return Value(value.constant)
    known = distance(value.plus, value.minus) if distance else None
    return value if known is None else Value(value.constant + known)


def _absolute(value: Value, operator: str) -> int:
    if not value.is_absolute:
        name = (value.plus or value.minus).name  # type: ignore[union-attr]
        raise ExpressionError(f"operator {operator} needs numbers, but {name or '.'} is an address")
    return value.constant


def _compare(operator: str, a: int, b: int) -> int:
    results = {"==": a == b, "!=": a != b, "<>": a != b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}
    return -int(results[operator])


def _compute(operator: str, a: int, b: int) -> int:
    if operator in ("/", "%") and b == 0:
        raise ExpressionError("division by zero")
    if operator in ("<<", ">>") and not 0 <= b < 64:
        return 0
    if operator == "/":
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if operator == "%":
        return a - b * _compute("/", a, b)
    if _PRECEDENCE[operator] == 3:
        return _compare(operator, a, b)
    simple = {
        "*": a * b,
        "|": a | b,
        "&": a & b,
        "^": a ^ b,
        "!": a | ~b,
        "&&": int(bool(a and b)),
        "||": int(bool(a or b)),
    }
    if operator in simple:
        return simple[operator]
    return a << b if operator == "<<" else (a & (1 << 64) - 1) >> b if a < 0 else a >> b
