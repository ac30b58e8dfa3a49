"""The `pienn sim` commands."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from pienn.errors import PiennError
from pienn.sim import memory_models
from pienn.sim.build import targets as built_targets

_TARGET = click.option("--target", type=click.Choice(["esp32p4", "esp32s3"]), help="The chip.")
_JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE|-",
    help="Write the figures as JSON.",
)


def _write_json(path: Path | None, value: object) -> None:
    """Write to a file, or to stdout for '-'; nothing for None."""
    if path is None:
        return
    if str(path) == "-":
        click.echo(json.dumps(value, indent=1))
        return
    try:
        path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise PiennError(f"{path}: cannot be written: {error.strerror}") from error


def _report(lines: Iterable[str], path: Path | None, value: object) -> None:
    """The lines for a person, unless stdout is for the JSON."""
    if str(path) != "-":
        for line in lines:
            click.echo(line)
    _write_json(path, value)


def _read_input(size: int) -> bytes:
    """What stdin has by now, at most `size` bytes; waits while it has nothing."""
    return sys.stdin.buffer.read1(size)  # pyright: ignore[reportAttributeAccessIssue]


@click.group()
def sim() -> None:
    """Simulate programs and kernels of both chips.

    \b
    pienn sim run program.elf --target esp32p4 --memory esp32p4@360
    pienn sim vectors vectors.jsonl
    pienn sim calibrate
    """


@sim.command()
@click.argument("program", type=click.Path(path_type=Path))
@_TARGET
@click.option("--revision", type=click.Choice(["1", "3"]), help="ESP32-P4 chip revision: 1 (below v3) or 3.")
@click.option("--memory", default="ideal", show_default=True, help="Memory model: ideal, esp32p4@360, ...")
@click.option("--max-instructions", type=int, default=10_000_000_000, help="Stop after so many.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write every instruction to this file (slow).")
@click.option(
    "--profile", is_flag=True, help="Print cycles by function, source line and instruction to stderr."
)
@_JSON
def run(
    program: Path,
    target: str | None,
    revision: str | None,
    memory: str,
    max_instructions: int,
    trace: Path | None,
    profile: bool,
    json_file: Path | None,
) -> None:
    """Run an ELF executable; its console is stdin and stdout, its exit code is ours.

    Exit 1 with a line on stderr when something stops the program before it ends.

    \b
    pienn sim run program.elf --target esp32p4
    pienn sim run program.elf --target esp32p4 --memory esp32p4@360 --profile
    pienn sim run program.elf --target esp32s3 --memory esp32s3@240 --trace trace.txt --json figures.json
    """
    from pienn.sim.programs import Console, run_program

    ended = run_program(
        program,
        target,
        int(revision) if revision else None,
        memory,
        max_instructions,
        Console(sys.stdout, source=_read_input),
        trace=trace,
        profile=profile,
    )
    figures = vars(ended) | {
        "output": ended.output.decode("utf-8", "replace"),
        "traffic": {name: dataclasses.asdict(counters) for name, counters in ended.traffic.items()},
        "profile": ended.profile and ended.profile.as_json(),
    }
    if ended.profile:
        click.echo(str(ended.profile), err=True)
    _write_json(json_file, figures)
    if ended.stop is not None:
        click.echo(f"error: {ended.stop}", err=True)
        sys.exit(1)
    sys.exit(ended.exit_code)


@sim.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "output", required=True, type=click.Path(path_type=Path), help="The ELF file to write.")
@click.option(
    "--target",
    type=click.Choice(["esp32p4", "esp32s3"]),
    default="esp32s3",
    show_default=True,
    help="The chip.",
)
@click.option(
    "--revision", type=click.Choice(["1", "3"]), default="3", show_default=True, help="Of the ESP32-P4."
)
@click.option("-I", "includes", multiple=True, metavar="FOLDER", help="Search headers there.")
@click.option("-D", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a macro.")
@click.option(
    "-O", "optimization", default="2", show_default=True, help="Optimization level of the compiler."
)
def build(
    sources: tuple[Path, ...],
    output: Path,
    target: str,
    revision: str,
    includes: tuple[str, ...],
    defines: tuple[str, ...],
    optimization: str,
) -> None:
    """Make a program of C and assembly files, to be run by `pienn sim run`.

    Needs Debian's cross compilers: riscv64-unknown-elf-gcc with picolibc for the ESP32-P4, xtensa-lx106-elf-gcc for the
    ESP32-S3, whose output we assemble and link ourselves, with a small C library of ours. Assembly files always go
    through our assembler.

    \b
    pienn sim build main.c kernel.S -o program.elf --target esp32p4 -I include -D SIZE=64
    """
    from pienn.sim import compile_esp32p4, compile_esp32s3

    missing = [path for path in sources if not path.is_file()]
    if missing:
        raise PiennError(f"{missing[0]}: no such file")
    options = [f"-O{optimization}", *(f"-I{one}" for one in includes), *(f"-D{one}" for one in defines)]
    if target == "esp32p4":
        content = compile_esp32p4.build_program(sources, options, int(revision))
    else:
        content = compile_esp32s3.build_program(sources, options)
    try:
        output.write_bytes(content)
    except OSError as error:
        raise PiennError(f"{output}: cannot be written: {error.strerror}") from error


@sim.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_JSON
def vectors(files: tuple[Path, ...], json_file: Path | None) -> None:
    """Run golden vectors; the last line is `N passed, N failed, N skipped`. Exit 1 on any failure.

    \b
    pienn sim vectors esp32p4.jsonl esp32s3.jsonl --json report.json
    """
    from pienn.sim.vectors import run_files

    report = run_files(files)
    _report(report.lines(), json_file, report.as_json())
    sys.exit(1 if report.failed else 0)


@sim.command()
@_TARGET
@_JSON
def calibrate(target: str | None, json_file: Path | None) -> None:
    """Rerun published measurements: simulated, measured, error. Exit 1 when a microloop is off by more than 5 %.

    \b
    pienn sim calibrate --target esp32p4
    """
    from pienn.sim.calibration import TOLERANCE, report, rows

    found = rows((target,) if target else tuple(built_targets()))
    _report(report(found), json_file, [row.as_json() for row in found])
    sys.exit(1 if any(row.is_microloop and abs(row.error) > TOLERANCE for row in found) else 0)


@sim.command()
@_TARGET
@click.option("--instructions", type=int, default=30_000_000, show_default=True, help="Length of each run.")
@_JSON
def bench(target: str | None, instructions: int, json_file: Path | None) -> None:
    """Measure the simulator itself: simulated instructions per second of processor time.

    \b
    pienn sim bench --target esp32s3 --instructions 10000000
    """
    from pienn.sim.bench import speeds

    found = speeds((target,) if target else tuple(built_targets()), instructions)
    lines = [
        f"{row.target}  {row.program:<12} {row.rate:7.1f} M instructions/s  {row.settings}" for row in found
    ]
    _report(lines, json_file, [dataclasses.asdict(row) for row in found])


def memory_model_names() -> list[str]:
    """For other commands' help."""
    return memory_models.names()
