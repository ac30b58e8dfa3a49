"""`pienn compile`: a graph file or a checkpoint becomes C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pienn.codegen.generate import describe, write
from pienn.codegen.names import identifier
from pienn.codegen.packed import pack
from pienn.commands.depfile import write_depfile
from pienn.commands.memory import MemoryOptions, describe_homes, memory_options
from pienn.commands.models import Source, source_options
from pienn.commands.results import json_option, write_json
from pienn.errors import PiennError
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import TARGETS, Plan, plan


@click.command()
@source_options
@click.option(
    "--target", type=click.Choice(TARGETS), default="host", show_default=True, help="What the C is for."
)
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder for the C files."
)
@click.option("--name", help="Name of the model in C [default: the file's stem].")
@click.option(
    "--arena",
    type=click.Choice(["static", "caller"]),
    default="static",
    show_default=True,
    help="Whether <name>_run brings its own arena, or only <name>_run_in exists.",
)
@click.option(
    "--simd/--no-simd",
    default=True,
    show_default=True,
    help="On a chip, call its assembly kernels; without them the reference runs in the same layout.",
)
@memory_options(model=None)
@click.option("--explain", is_flag=True, help="Print what was chosen for every call, and why.")
@click.option(
    "--shadow",
    is_flag=True,
    help="Run the reference beside every assembly kernel and report the first difference.",
)
@click.option(
    "--depfile", type=click.Path(path_type=Path), help="Write what the C was made from, for make and ninja."
)
@json_option
def compile(  # the command's name
    source: Source,
    target: str,
    folder: Path,
    name: str | None,
    arena: str,
    simd: bool,
    shadow: bool,
    memory: MemoryOptions,
    explain: bool,
    depfile: Path | None,
    json_file: str | None,
) -> None:
    """Turn MODEL (.pie, or .pt2/.pt with torch installed) into C.

    \b
    pienn compile model.pie --target esp32p4 -o generated
    pienn compile model.pie --target esp32s3 --sram 256K -o generated
    pienn compile model.pt --factory model:build --calibration inputs.npz --target host -o generated --name kws
    """
    if shadow and (target == "host" or not simd):
        raise PiennError(
            "--shadow checks a chip's assembly: give --target esp32p4 or esp32s3, and not --no-simd"
        )
    graph = source.graph()
    packed = pack(plan(pipeline(graph, target), target, simd))
    if target != "host":
        packed = packed.placed(memory.budget("flash"))
    name = name or identifier(source.stem)
    digest = str(graph.meta.get("content", ""))[:16]
    origin = f" from {source.file_name}" + (f" (content {digest})" if digest else "")
    model = describe(packed, name, arena, origin, shadow)
    files = write(model, folder)
    if depfile is not None:
        product = next(path for path in files if path.name == f"{name}.c")
        write_depfile(depfile, product, (source.model, source.weights, source.calibration))
    results: dict[str, Any] = {
        "name": name,
        "target": target,
        "files": [str(path) for path in files],
        "weight_bytes": model.weight_bytes,
        **model.plan.to_json(),
    }
    write_json(results, json_file)
    if json_file == "-":
        return
    placement = model.plan.arena
    proof = "proven optimal" if placement.optimal else "not proven optimal"
    kernels = len({call.kernel.name for call in model.plan.calls})
    print(
        f"{name}: {len(model.plan.calls)} calls of {kernels} kernels, {model.plan.macs} MAC, "
        f"{model.weight_bytes} bytes of constants"
    )
    print(f"arena: {placement.total} bytes, lower bound {placement.lower_bound}, {proof}")
    if target != "host":
        if explain:
            print_calls(model.plan)
        print("\n".join(describe_homes(model.plan)))
        print_reference_calls(model.plan)
    print(f"written: {folder}/ " + " ".join(path.name for path in files))


def print_calls(planned: Plan) -> None:
    """A line for each call: where its result lies, its kernel, and the reasons."""
    for number, call in enumerate(planned.calls):
        where, offset = planned.address(call.writes)
        shape, kernel = "x".join(map(str, call.writes.shape)), f"{call.kernel.name}_{call.version}"
        print(f"{number:4} {call.op.layer}: {shape} at {where} {offset}, {kernel}, {call.reason}")


def print_reference_calls(planned: Plan) -> None:
    """Which calls a chip leaves to the reference, and why: nothing is slow silently."""
    reasons: dict[str, list[str]] = {}
    for call in planned.calls:
        if call.version == "ref":
            reasons.setdefault(call.why.removeprefix("reference: "), []).append(call.op.layer)
    for reason, layers in reasons.items():
        print(f"reference C: {', '.join(layers)}: {reason}")
