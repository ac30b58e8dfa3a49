"""Machine-readable results: `--json FILE|-` of every command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "json_file", metavar="FILE|-", help="Write the results as JSON.")(function)


def write_json(results: Any, json_file: str | None) -> None:
    """Write the results to the file, or to stdout for '-'; nothing for None. The file appears whole or not at all."""
    if json_file is None:
        return
    text = json.dumps(results, indent=1) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
        return
    path = Path(json_file)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)
