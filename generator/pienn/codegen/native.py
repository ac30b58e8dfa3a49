"""Build generated C with the reference layers for this machine, and run it on arrays."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import numpy as np

from pienn.codegen.generate import generate
from pienn.codegen.packed import Packed, pack
from pienn.component import component_folder
from pienn.errors import PiennError
from pienn.plan.plan import Plan

LAYER_FLAGS = ("-std=c11", "-O2", "-fPIC", "-ffunction-sections")
MODEL_FLAGS = ("-std=c11", "-O1", "-fPIC", "-shared", "-DPIENN_TAP")
RANK = 4


class _Tapped(ctypes.Structure):
    """pienn_tapped of include/pienn/tap.h."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int32 * RANK),
        ("strides", ctypes.c_int32 * RANK),
    ]


_TAP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Tapped))


def compiler() -> str:
    """The host's C compiler: $CC, or cc; raises PiennError where there is none."""
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        raise PiennError("no C compiler: install gcc or clang, or name one in the environment variable CC")
    return found


def compile_files(
    sources: Sequence[Path | str], output: Path, flags: Sequence[str], includes: Sequence[Path | str]
) -> None:
    """One compiler call; raises PiennError with the compiler's first error line."""
    command = [
        compiler(),
        *flags,
        *(f"-I{folder}" for folder in includes),
        *map(str, sources),
        "-o",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise PiennError(f"the C compiler failed: {first}")


@cache
def _layers(folder: Path) -> Path:
    """The reference layers as one shared library, compiled once per process into `folder`."""
    component = component_folder()
    library = folder / "libpienn_reference.so"
    sources = sorted((component / "src_ref").glob("*.c"))
    includes = [component / "include", component / "src_ref"]
    compile_files(sources, library, [*LAYER_FLAGS, "-shared"], includes)
    return library


@dataclass(frozen=True)
class Sizes:
    """Bytes of a compiled model: machine code of the model and of the layers it calls, and its constants."""

    code: int
    constants: int


def code_bytes(plan: Plan) -> Sizes:
    """Compile with -Os for this machine and add up the sections; raises PiennError without a compiler or `size`."""
    size = shutil.which("size")
    if size is None:
        raise PiennError("no program `size`: install binutils")
    component = component_folder()
    with tempfile.TemporaryDirectory(prefix="pienn-size-") as name:
        folder = Path(name)
        files = [path for path in generate(plan, folder, "model") if path.suffix == ".c"]
        files += [
            component / "src_ref" / f"{kernel}.c" for kernel in {call.kernel.name for call in plan.calls}
        ]
        code = constants = 0
        for source in files:
            compiled = folder / f"{source.stem}.o"
            includes = [folder, component / "include", component / "src_ref"]
            compile_files([source], compiled, ["-std=c11", "-Os", "-c"], includes)
            sections = subprocess.run(
                [size, "-A", str(compiled)], capture_output=True, text=True, check=True
            ).stdout
            for line in sections.splitlines():
                parts = line.split()
                if len(parts) == 3 and parts[1].isdigit():
                    code += int(parts[1]) if parts[0].startswith(".text") else 0
                    constants += int(parts[1]) if parts[0].startswith((".rodata", ".data.rel.ro")) else 0
    return Sizes(code, constants)


@cache
def _process_folder() -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="pienn-layers-")


def reference_library() -> ctypes.CDLL:
    """The reference layers of this machine, to call one by one."""
    return ctypes.CDLL(str(_layers(Path(_process_folder().name))))


class Native:
    """A plan as a shared library of this machine; use as a context manager, or call close()."""

    def __init__(self, plan: Plan | Packed):
        packed = pack(plan)
        self.plan = packed.plan
        layers = _layers(Path(_process_folder().name))
        self._folder = tempfile.TemporaryDirectory(prefix="pienn-native-")
        folder = Path(self._folder.name)
        try:
            files = generate(packed, folder, "model")
            library = folder / "model.so"
            sources = [*(path for path in files if path.suffix == ".c"), layers]
            flags = [*MODEL_FLAGS, f"-Wl,-rpath,{layers.parent}"]
            compile_files(sources, library, flags, [folder, component_folder() / "include"])
            self._library = ctypes.CDLL(str(library))
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Native:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._folder.cleanup()

    def run(
        self, inputs: Sequence[np.ndarray], taps: dict[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """Inputs and results int8 in graph layout with a leading batch axis; `taps` collects every layer's result."""
        graph = self.plan.graph
        batch = len(inputs[0])
        inputs = [np.ascontiguousarray(array, np.int8) for array in inputs]
        for array, port in zip(inputs, graph.inputs):
            if array.shape != (batch, *port.shape):
                raise PiennError(
                    f"input {port.name} has shape {array.shape[1:]}, the network takes {port.shape}"
                )
        outputs = [np.zeros((batch, *port.shape), np.int8) for port in graph.outputs]
        arena = np.zeros(self.plan.arena.total + 16, np.int8)
        start = arena.ctypes.data + -arena.ctypes.data % 16
        collected: dict[str, list[np.ndarray]] = {}

        def tap(_context: int, tapped: ctypes._Pointer[_Tapped]) -> None:
            entry = tapped.contents
            shape, strides = tuple(entry.shape[: entry.rank]), tuple(entry.strides[: entry.rank])
            extent = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
            flat = np.ctypeslib.as_array(ctypes.cast(entry.data, ctypes.POINTER(ctypes.c_int8)), (extent,))
            view = np.lib.stride_tricks.as_strided(flat, shape, strides)
            collected.setdefault(entry.name.decode(), []).append(view.copy())

        callback = _TAP(tap) if taps is not None else _TAP(0)
        function = self._library.model_run_tapped
        function.restype = None
        for index in range(batch):
            pointers = [ctypes.c_void_p(array[index].ctypes.data) for array in (*inputs, *outputs)]
            function(ctypes.c_void_p(start), *pointers, callback, None)
        if taps is not None:
            taps.update({name: np.stack(arrays) for name, arrays in collected.items()})
        return outputs
