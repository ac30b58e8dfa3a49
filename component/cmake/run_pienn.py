"""Runs the generator that comes with this component: run_pienn.py PLACE COMMAND ARGUMENT...

PLACE is `file:line` of the target_add_model call. Errors are printed as `file:line: error: text`, which build
tools and editors understand. Needs no installed `pienn`, only the packages that it depends on.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

GENERATOR = Path(__file__).resolve().parents[2] / "generator"


def at_place(messages: str, place: str) -> str:
    """The messages with errors turned to the form of compilers; hints on usage are left out."""
    lines = []
    for line in messages.splitlines():
        if line.lower().startswith("error: "):
            lines.append(f"{place}: error: {line[len('error: ') :]}\n")
        elif line and not line.startswith(("Usage: ", "Try '")):
            lines.append(f"{line}\n")
    return "".join(lines)


def main() -> None:
    place, arguments = sys.argv[1], sys.argv[2:]
    sys.path[0] = str(GENERATOR)
    from pienn import cli

    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            cli.main(arguments)
    finally:
        sys.stderr.write(at_place(messages.getvalue(), place))


if __name__ == "__main__":
    main()
