"""Bytes of kernels that a firmware holds: what a linker leaves of them, and no more than was promised."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from checker import chip_kernels
from checker_draw import draw_case
from xdsl.dialects.builtin import DenseArrayBase

from pienn.codegen.generate import generate
from pienn.codegen.packed import Packed, pack
from pienn.commands.simulated import code_bytes, kernel_object, linked_kernels
from pienn.component import component_folder
from pienn.ir.dialect import WindowOp
from pienn.ir.graph import Graph
from pienn.isa.object import Object
from pienn.passes.pipeline import pipeline
from pienn.plan.layout import LANES
from pienn.plan.plan import plan

ONE_NETWORK, ALL_KERNELS = 12 * 1024, 32 * 1024
COMPILERS = {
    "esp32p4": ("riscv64-unknown-elf", ("-march=rv32imafc", "-mabi=ilp32f"), "P4"),
    "esp32s3": ("xtensa-lx106-elf", (), "S3"),
}
"""Prefix of tools, options of the compiler, version. That compiler's calls are not the ESP32-S3's: nothing is run."""
ZOO = (
    "autoencoder",
    "autoencoder_tfl",
    "dscnn",
    "dscnn_tfl",
    "mobilenet_vww",
    "resnet8",
    "resnet8_large",
    "streaming_wakeword",
)


def small_network(target: str, kernel: str) -> Packed:
    """The first drawn network that runs the chip's version of a kernel."""
    for case in filter(None, (draw_case(kernel, seed) for seed in range(100))):
        packed = pack(plan(case.graph, target))
        if any(call.kernel.name == kernel and call.version != "ref" for call in packed.plan.calls):
            return packed
    raise AssertionError(f"no case of {kernel} runs on {target}")


def sections_of(kernels: Mapping[str, Object]) -> dict[str, int]:
    """Kernel and section -> bytes."""
    return {
        f"{kernel} {section.name}": section.size
        for kernel, compiled in kernels.items()
        for section in compiled.sections.values()
        if section.size
    }


class Firmware:
    """Networks in C, linked with all kernels of a chip by that chip's compiler."""

    def __init__(self, tool: Callable[[str], str], folder: Path, target: str) -> None:
        prefix, flags, version = COMPILERS[target]
        self.folder, self.target, self.objects = folder, target, []
        self._compiler = [tool(f"{prefix}-gcc"), *flags, "-ffreestanding", "-ffunction-sections", "-Os"]
        self._compiler += ["-fdata-sections", f"-DPIENN_TARGET_{version}"]
        self._archiver = tool(f"{prefix}-ar")
        (folder / "string.h").write_text("#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\n")
        self._library()

    def _run(self, *command: object) -> None:
        subprocess.run([str(word) for word in command], cwd=self.folder, check=True)

    def _library(self) -> None:
        """Every kernel of the chip, assembled; the reference is left undefined."""
        kernels = chip_kernels(self.target)
        for kernel in kernels:
            (self.folder / f"{kernel}.o").write_bytes(kernel_object(self.target, kernel, 3).elf())
        self._run(self._archiver, "rcs", "libpienn.a", *(f"{kernel}.o" for kernel in kernels))

    def add(self, packed: Packed, name: str) -> None:
        generate(packed, self.folder, name)
        for source in (f"{name}.c", f"{name}_weights.c"):
            include = component_folder() / "include"
            self._run(*self._compiler, "-I", include, "-I", ".", "-c", source, "-o", f"{source}.o")
            self.objects.append(f"{source}.o")

    def sections(self) -> dict[str, int]:
        """Kernel and section -> bytes that the linker keeps, from its map."""
        roots = [f"-Wl,-u,{name.removesuffix('.c.o')}_run" for name in self.objects if "_weights" not in name]
        self._run(
            *self._compiler, "-nostdlib", "-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-all",
            "-Wl,-Map=map", "-Wl,-e,0", "-Wl,-w", *roots, *self.objects, "libpienn.a", "-o", "firmware",
        )  # fmt: skip
        text = (self.folder / "map").read_text().split("Linker script and memory map")[1]
        kept: dict[str, int] = {}
        words = text.split()
        for index, word in enumerate(words):
            if word.startswith("libpienn.a("):
                address, size, name = words[index - 2], words[index - 1], words[index - 3]
                if address.startswith("0x") and size.startswith("0x") and int(size, 16):
                    kept[f"{word[11:-3]} {name}"] = int(size, 16)
        return kept


@pytest.mark.parametrize("target", COMPILERS)
def test_a_linker_leaves_what_networks_need(target: str, tool, tmp_path: Path) -> None:
    """Of one network, and of two in one firmware, which share what both need."""
    firmware = Firmware(tool, tmp_path, target)
    expected: dict[str, int] = {}
    for number, kernel in enumerate(("conv2d_s8", "depthwise_conv2d_s8")):
        packed = small_network(target, kernel)
        firmware.add(packed, f"network{number}")
        expected |= sections_of(linked_kernels(packed))
        assert firmware.sections() == expected
    assert any("depthwise_conv2d_s8_" in name for name in expected)
    assert sum(expected.values()) < sum(
        code_bytes([kernel_object(target, k, 3)]) for k in chip_kernels(target)
    )


@pytest.mark.parametrize("target", COMPILERS)
def test_all_kernels_of_a_chip_take_32_kilobytes_at_most(target: str) -> None:
    sizes = {kernel: code_bytes([kernel_object(target, kernel, 3)]) for kernel in chip_kernels(target)}
    print(f"{target}: " + ", ".join(f"{kernel} {size}" for kernel, size in sizes.items()))
    assert sum(sizes.values()) <= ALL_KERNELS


@pytest.fixture(scope="module")
def zoo(shared: Path) -> ModuleType:
    path = shared / "data" / "zoo" / "tiny_zoo.py"
    if not path.is_file():
        pytest.skip(f"no reference networks: {path} is absent")
    spec = importlib.util.spec_from_file_location("tiny_zoo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_one_exponent_per_block(graph: Graph) -> Graph:
    """The same shapes with the weights of 16 channels at one exponent: blocks that the ESP32-S3 unrolls."""
    changed = graph.clone()
    for op in changed.ops:
        if isinstance(op, WindowOp):
            exponents = np.array(op.parameters["weight_exponents"])
            exponents = np.repeat(exponents[::LANES], LANES)[: len(exponents)]
            given = op.properties["weight_exponents"]
            assert isinstance(given, DenseArrayBase)
            op.properties["weight_exponents"] = DenseArrayBase.from_list(given.elt_type, exponents.tolist())
    return changed


@pytest.mark.parametrize("name", ZOO)
def test_kernels_of_a_reference_network_take_12_kilobytes_at_most(zoo: ModuleType, name: str) -> None:
    """On both chips, with an exponent per channel and with one per 16 channels."""
    torch = pytest.importorskip("torch")
    from frontend.simple_quantizer import lowered

    torch.manual_seed(1)
    graph = lowered(zoo.load(name), (torch.rand(2, *zoo.MODELS[name][1]),)).graph
    for target in COMPILERS:
        for variant in (graph, with_one_exponent_per_block(graph)):
            kernels = linked_kernels(plan(pipeline(variant, target), target))
            sizes = {kernel: code_bytes([compiled]) for kernel, compiled in kernels.items()}
            print(f"{target}, {name}: {sum(sizes.values())} bytes, {sizes}")
            assert sum(sizes.values()) <= ONE_NETWORK
