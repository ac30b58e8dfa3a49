"""Small firmware around a generated network: for this machine, and for the simulated chips."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from xdsl.ir import SSAValue

from pienn.component import component_folder
from pienn.ir import interpreter
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import shape_of
from pienn.ir.graph import Graph
from pienn.plan.kernel_list import ListedKernel, read_kernels
from pienn.plan.plan import Plan
from pienn.sim import compile_esp32p4, compile_esp32s3
from pienn.sim.programs import Console, run_program

VERSIONS = {"esp32p4": "p4", "esp32s3": "s3"}


def digits_graph(seed: int = 1, channels: int = 1) -> Graph:
    """The layers of the trained network of examples/hello_digits, with random weights; that has 1 input channel."""
    source = np.random.default_rng(seed)
    b = GraphBuilder("digits")

    def convolution(
        x: SSAValue, layer: str, outputs: int, size: int, zero_point: int, groups: int = 1
    ) -> SSAValue:
        shape = (outputs, size, size, shape_of(x)[2] // groups)
        limit = 60 if np.prod(shape[1:]) < 100 else 20
        return b.conv2d(
            x,
            b.constant(f"{layer}.weight", source.integers(-limit, limit + 1, shape).astype(np.int8)),
            b.constant(f"{layer}.bias", source.integers(-500, 500, outputs).astype(np.int32)),
            weight_exponents=source.integers(-7, -5, outputs),
            padding=(size // 2,) * 4,
            groups=groups,
            exponent=-3,
            zero_point=zero_point,
            layer=layer,
        )

    x = b.input("x", (8, 8, channels), -3, -128, (1, 2, 0))
    stem = convolution(x, "stem", 16, 3, -128)
    depthwise = convolution(stem, "depthwise", 16, 3, -128, groups=16)
    pointwise = convolution(depthwise, "pointwise", 32, 1, -128)
    residual = convolution(pointwise, "residual", 32, 3, 0)
    added = b.add(residual, pointwise, exponent=-2, zero_point=-128, layer="add")
    pooled = b.max_pool2d(added, kernel=(2, 2), strides=(2, 2), layer="pool")
    flat = b.reshape(pooled, shape=(512,), layer="flatten")
    scores = b.fully_connected(
        flat,
        b.constant("classifier.weight", source.integers(-30, 31, (10, 512)).astype(np.int8)),
        b.constant("classifier.bias", source.integers(-500, 500, 10).astype(np.int32)),
        weight_exponents=[-8] * 10,
        exponent=0,
        zero_point=0,
        layer="classifier",
    )
    b.output("scores", scores, (0,))
    return b.build()


def sample_of(graph: Graph, seed: int = 2) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """A random input of a network of one input and one output, its output, and every tensor; without batch axis."""
    stored = np.random.default_rng(seed).integers(-128, 128, (1, *graph.inputs[0].shape)).astype(np.int8)
    tensors: dict[str, np.ndarray] = {}
    (expected,) = interpreter.run(graph, [stored], tensors)
    return stored[0], expected[0], {name: array[0] for name, array in tensors.items()}


def c_array(name: str, array: np.ndarray) -> str:
    numbers = ", ".join(map(str, array.ravel().tolist()))
    return f"static const int8_t {name}[{array.size}] = {{{numbers}}};\n"


def own_kernels(target: str) -> list[ListedKernel]:
    """Those of which the chip has its own version."""
    version = VERSIONS[target]
    return [kernel for kernel in read_kernels() if getattr(kernel, version) == version]


def runtime_files(port: str) -> list[Path]:
    folder = component_folder() / "component"
    return [*sorted((folder / "runtime").glob("*.c")), folder / "port" / f"{port}.c"]


def reference_files() -> list[Path]:
    return sorted((component_folder() / "src_ref").glob("*.c"))


def kernel_files(planned: Plan, assembly: Path | None = None) -> list[Path]:
    """The kernels that a plan calls: the reference of all, and the chip's own from the folder `assembly`."""
    names = sorted({call.kernel.name for call in planned.calls})
    files = [component_folder() / "src_ref" / f"{name}.c" for name in names]
    if assembly is not None:
        files += [assembly / f"{name}.S" for name in names if (assembly / f"{name}.S").is_file()]
    return files


def include_flags(*folders: Path) -> list[str]:
    component = component_folder()
    own = ("include", "src_ref", "component/runtime", "component/port")
    return [*(f"-I{folder}" for folder in folders), *(f"-I{component / name}" for name in own)]


def run_on_chip(target: str, sources: Sequence[Path], options: Sequence[str], program: Path) -> str:
    """Build a program, run it in the simulator in ideal memory, and return what it has printed; it must end with 0."""
    builder = {"esp32p4": compile_esp32p4, "esp32s3": compile_esp32s3}[target]
    program.write_bytes(builder.build_program(sources, ["-O2", "-std=c11", *options]))
    console = Console()
    ended = run_program(program, target, console=console)
    assert ended.exit_code == 0, (ended.stop, ended.output)
    return ended.output.decode()


def build_on_host(compiler: str, sources: Sequence[Path], options: Sequence[str], program: Path) -> None:
    command = [compiler, "-std=c11", "-O1", *options, *map(str, sources), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
