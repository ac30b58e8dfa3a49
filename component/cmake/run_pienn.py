"""Runs the generator that comes with this component: run_pienn.py PLACE_FILE COMMAND ARGUMENT...

PLACE_FILE holds `file:line` of the target_add_model call; it is a file so that a call that moves to another line
is the same command. Errors are printed as `file:line: error: text`, which build tools and editors understand. Needs
no installed `pienn`, only the packages that it depends on.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

GENERATOR = Path(__file__).resolve().parents[2] / "generator"


def run_command(arguments: Sequence[str], place_file: str) -> int:
    """Run a command of `pienn`; returns the exit status: 0 good, 1 a check failed, 2 bad input."""
    if str(GENERATOR) not in sys.path:
        sys.path.insert(0, str(GENERATOR))
    import click

    from pienn import cli
    from pienn.errors import PiennError

    try:
        return cli.pienn.main(list(arguments), prog_name="pienn", standalone_mode=False) or 0
    except click.ClickException as error:
        complain(place_file, error.format_message())
    except (PiennError, OSError, MemoryError) as error:
        complain(place_file, cli.describe(error))
    except SystemExit as stopped:
        if stopped.code:
            complain(
                place_file, f"pienn {arguments[0]} {Path(arguments[1]).name}: the check failed, see above"
            )
            return 1
        return 0
    return 2


def run_summarised(arguments: Sequence[str], place_file: str) -> int:
    """The same, printing what the command says of the whole network: single layers are the business of `pienn`."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = run_command(arguments, place_file)
    for line in printed.getvalue().splitlines():
        if not line.startswith("  "):
            print(line)
    return status


def complain(place_file: str, text: str) -> None:
    """Print the error in the form of compilers."""
    place = Path(place_file).read_text(encoding="utf-8").strip()
    print(f"{place}: error: {' '.join(text.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder is no place for modules
    run = run_summarised if sys.argv[2] == "compile" else run_command
    sys.exit(run(sys.argv[2:], sys.argv[1]))
