"""`pienn opt`: passes over a graph file, as mlir-opt does them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pienn.commands.results import json_option, write_json
from pienn.ir import file
from pienn.passes.pipeline import DEFAULT, PASSES, apply


@click.command(epilog=f"Passes: {', '.join(PASSES)}. Default: {', '.join(DEFAULT)}.")
@click.argument("graph_file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--pass", "passes", multiple=True, metavar="A,B", help="Passes, in order; '' for none.")
@click.option("--print-after-all", is_flag=True, help="Print the graph after each pass, on stderr.")
@click.option("--generic", is_flag=True, help="Print MLIR's generic form, which mlir-opt reads.")
@click.option("-o", "output", type=click.Path(path_type=Path), help="Write a .pie file instead of text.")
@json_option
def opt(
    graph_file: Path,
    passes: tuple[str, ...],
    print_after_all: bool,
    generic: bool,
    output: Path | None,
    json_file: str | None,
) -> None:
    """Run passes over FILE and print the graph. Every bit of every tensor that remains stays as it was.

    \b
    pienn opt model.pie --pass dead-code,fuse-activation --print-after-all
    """
    graph = file.read(graph_file)
    names = [name for group in passes for name in group.split(",") if name] if passes else list(DEFAULT)
    counts = []
    for name, after in apply(graph, names):
        changed = after.text() != graph.text()
        graph = after
        counts.append({"pass": name, "changed": changed, "operations": len(graph.layers)})
        if print_after_all:
            print(f"// after {name}{'' if changed else ': unchanged'}", file=sys.stderr)
            if changed:
                print(graph.generic_text() if generic else graph.text(), file=sys.stderr, end="")
    if output is not None:
        file.write(graph, output)
    write_json({"passes": counts, "operations": len(graph.layers)}, json_file)
    if output is None and json_file != "-":
        print(graph.generic_text() if generic else graph.text(), end="")
