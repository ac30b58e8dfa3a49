"""`pienn new-project`: a firmware project around a network, which checks it on the chip."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import jinja2
import numpy as np

from pienn.codegen.generate import Model, describe
from pienn.codegen.names import identifier
from pienn.commands.arrays import read_arrays, to_graph
from pienn.commands.models import Source, source_options
from pienn.commands.results import json_option, write_json
from pienn.component import component_folder
from pienn.errors import PiennError
from pienn.ir import interpreter
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan
from pienn.version import VERSION

VALUES_IN_A_ROW = 20
FIRMWARE_BYTES = 512 << 10  # of code and constants that are not the network's, generously
USUAL_PARTITION = 1 << 20
TEMPLATES = (
    "CMakeLists.txt",
    "README.md",
    "gitignore",
    "main/CMakeLists.txt",
    "main/idf_component.yml",
    "main/main.c",
    "main/samples.c",
    "main/samples.h",
    "partitions.csv",
    "pytest_check.py",
    "sdkconfig.defaults",
    "sdkconfig.defaults.esp32p4",
    "sdkconfig.defaults.esp32s3",
)


@click.command("new-project")
@source_options
@click.option(
    "--input",
    "input_file",
    type=click.Path(path_type=Path),
    required=True,
    help="Inputs to check with (.npy, .npz).",
)
@click.option(
    "--count", type=click.IntRange(1), default=3, show_default=True, help="How many of them, at most."
)
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="The new folder."
)
@click.option("--name", help="Name of the model in C, and of the project [default: the file's stem].")
@click.option(
    "--target",
    type=click.Choice(["esp32p4", "esp32s3", "linux"]),
    help="Chip that the project is set to [default: idf.py set-target chooses].",
)
@click.option(
    "--component",
    metavar="FOLDER|NAMESPACE/NAME",
    help="Where the project finds PIE-NN: a folder, or a name in the component registry [default: this folder].",
)
@json_option
def new_project(
    source: Source,
    input_file: Path,
    count: int,
    folder: Path,
    name: str | None,
    target: str | None,
    component: str | None,
    json_file: str | None,
) -> None:
    """Write a complete ESP-IDF project that runs MODEL on given inputs and compares every output.

    Inputs and expected outputs are compiled in; the firmware prints match or the first mismatch for each input, and
    the time of each layer. Without ESP-IDF the same project is a program for this machine.

    \b
    pienn new-project model.pie --input images.npy -o project --target esp32p4
    pienn new-project net.pt --factory nets:build --calibration inputs.npz --input images.npy -o project
    """
    name = name or identifier(source.stem)
    folder = Path(os.path.abspath(folder))
    refuse_where_something_is(folder)
    graph = source.graph()
    model = describe(plan(pipeline(graph, "host")), name, "caller")
    arrays = [array[:count] for array in read_arrays(input_file, graph.inputs)]
    inputs = [to_graph(array, port) for array, port in zip(arrays, graph.inputs)]
    expected = interpreter.run(graph, inputs)

    values: dict[str, Any] = {
        "name": name,
        "upper": name.upper(),
        "target": target,
        "version": VERSION,
        "samples": len(inputs[0]),
        "sample_file": input_file.name,
        "inputs": ports(model, "INPUT", inputs),
        "outputs": ports(model, "OUTPUT", expected),
        "constant_bytes": model.weight_bytes,
        **flash(model.weight_bytes + sum(array.nbytes for array in (*inputs, *expected))),
        **where(component, folder),
    }
    values["sample_arguments"] = ", ".join(
        [f"sample_{port['identifier']}[sample]" for port in values["inputs"]]
        + [port["identifier"] for port in values["outputs"]]
    )
    files = write(folder, values, source)
    write_json({"folder": str(folder), "name": name, "samples": values["samples"], "files": files}, json_file)
    if json_file != "-":
        print(
            f"written: {folder}, {len(files)} files, {values['samples']} inputs with their expected outputs"
        )
        print(
            f"on a chip:        cd {folder} && idf.py set-target {target or 'esp32p4'} && idf.py build flash monitor"
        )
        print(
            f"on this machine:  cd {folder} && cmake -B build-host && cmake --build build-host "
            f"&& build-host/{name}_check"
        )
        if values["component_name"] == "main":
            print(
                f"note: ESP-IDF calls a component by its folder: rename {component_folder()} to pienn, and correct "
                "main/idf_component.yml"
            )


def refuse_where_something_is(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PiennError(f"{folder}: is a file")
    if folder.is_dir() and any(folder.iterdir()):
        raise PiennError(f"{folder}: is not empty: name a new folder, or delete what is in it")
    if not folder.parent.is_dir():
        raise PiennError(f"{folder}: folder {folder.parent} does not exist")


def ports(model: Model, kind: str, arrays: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """The inputs or outputs as the templates show them, with their stored values."""
    described = model.inputs if kind == "INPUT" else model.outputs
    prefix = f"{model.name.upper()}_{kind}"
    return [
        {
            "identifier": port["identifier"],
            "name": port["name"],
            "macro": f"{prefix}_{port['identifier'].upper()}" if len(described) > 1 else prefix,
            "text_rows": [rows(values) for values in array.reshape(len(array), -1)],
        }
        for port, array in zip(described, arrays)
    ]


def rows(values: np.ndarray) -> list[str]:
    starts = range(0, len(values), VALUES_IN_A_ROW)
    return [", ".join(map(str, values[start : start + VALUES_IN_A_ROW])) for start in starts]


def flash(network_bytes: int) -> dict[str, int]:
    """The app's partition and the flash that it needs; 0 where ESP-IDF's usual ones do.

    Packed for a chip, constants may be half as many again.
    """
    needed = FIRMWARE_BYTES + network_bytes * 3 // 2
    if needed <= USUAL_PARTITION:
        return {"partition_bytes": 0, "flash_megabytes": 0}
    partition = -(-needed // (64 << 10)) * (64 << 10)
    megabytes = 2
    while megabytes << 20 < partition + (64 << 10):
        megabytes *= 2
    return {"partition_bytes": partition, "flash_megabytes": megabytes}


def where(component: str | None, folder: Path) -> dict[str, Any]:
    """How the project names the component; raises PiennError where there is none."""
    registry = component if component and re.fullmatch(r"[a-z0-9_-]+/[a-z0-9_-]+", component) else None
    if registry and not Path(registry).is_dir():
        managed = "managed_components/" + registry.replace("/", "__")
        return {
            "registry": registry,
            "component_name": "",
            "component_path": managed,
            "component_path_from_main": "",
        }
    path = Path(component).absolute() if component else component_folder()
    if not (path / "component" / "cmake" / "target_add_model.cmake").is_file():
        raise PiennError(f"{path}: is not the folder of the component PIE-NN")
    near = path.is_relative_to(folder.parent) or folder.is_relative_to(path)
    return {
        "registry": None,
        "component_name": path.name,
        # Projects beside or in the component may be moved with it; others name it from the root.
        "component_path": Path(os.path.relpath(path, folder)).as_posix() if near else path.as_posix(),
        "component_path_from_main": Path(os.path.relpath(path, folder / "main")).as_posix()
        if near
        else path.as_posix(),
    }


def write(folder: Path, values: dict[str, Any], source: Source) -> list[str]:
    """Write the project beside its place, and move it there when it is whole; returns the files."""
    stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (stage / "main").mkdir()
        graph_file = stage / "main" / f"{values['name']}.pie"
        if source.is_graph_file:
            assert source.model is not None
            shutil.copyfile(source.model, graph_file)
        else:
            import_module("pienn.frontend.model").export(
                source.quantized, None, graph_file, name=values["name"]
            )
        for template in TEMPLATES:
            if template == "partitions.csv" and not values["partition_bytes"]:
                continue
            path = stage / (".gitignore" if template == "gitignore" else template)
            path.write_text(environment().get_template(f"{template}.jinja").render(values), newline="\n")
        stage.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        stage.rename(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@cache
def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("pienn.commands", "project"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
