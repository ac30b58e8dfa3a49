"""C identifiers from layer names: unique, never a keyword, and safe whatever the name holds."""

from __future__ import annotations

import re

from pienn.errors import PiennError

KEYWORDS = frozenset(
    "alignas alignof asm auto bool break case char class const constexpr continue default delete do double else enum "
    "explicit extern false float for friend goto if inline int long mutable namespace new nullptr operator private "
    "protected public register restrict return short signed sizeof static static_assert struct switch template this "
    "thread_local throw true try typedef typename typeof union unsigned using virtual void volatile while main "
    "NULL".split()
)


def identifier(name: str) -> str:
    """The name with everything but letters, digits and `_` turned to `_`, not starting with a digit."""
    found = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")
    found = re.sub(r"__+", "_", found) or "layer"
    return f"layer_{found}" if found[0].isdigit() or found in KEYWORDS else found


class Namer:
    """Hands out unique identifiers; the same sequence of requests gives the same names."""

    def __init__(self, taken: tuple[str, ...] = ()):
        self._taken = set(taken)

    def __call__(self, name: str) -> str:
        base = identifier(name)
        found, number = base, 2
        while found in self._taken:
            found, number = f"{base}_{number}", number + 1
        self._taken.add(found)
        return found


def model_identifier(name: str) -> str:
    """The prefix of all names of a model; raises PiennError for a name that is no C identifier."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name) or name in KEYWORDS or name.lower() == "pienn":
        raise PiennError(
            f"{name!r} cannot be the model's name: give one with --name that starts with a letter, has only "
            "letters, digits and _ (63 at most), and is no word of C nor pienn"
        )
    return name
