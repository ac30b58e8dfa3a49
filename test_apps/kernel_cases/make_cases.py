"""Write C of kernel calls with what they must compute, for firmware that checks the kernels of its own chip.

python make_cases.py --target esp32p4 --output cases.c             cases of the checker (tests/kernels/cases.json)
python make_cases.py --target esp32s3 --output cases.c --bench     calls of `pienn bench kernels`

The memory that a call sees is noise that the firmware makes itself; only parameters and packed constants are data.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path += [str(CHECKOUT / "generator"), str(CHECKOUT / "tests" / "kernels")]

from checker_call import _surplus  # noqa: E402
from checker_draw import draw_case  # noqa: E402

from pienn.codegen.native import reference_library  # noqa: E402
from pienn.codegen.parameters import Parameters, _range, parameters_of  # noqa: E402
from pienn.codegen.structs import struct_bytes  # noqa: E402
from pienn.commands.bench import kernel_graphs  # noqa: E402
from pienn.commands.depfile import write_depfile  # noqa: E402
from pienn.errors import PiennError  # noqa: E402
from pienn.ir.graph import Graph  # noqa: E402
from pienn.plan.chips import versions  # noqa: E402
from pienn.plan.layout import LANES  # noqa: E402
from pienn.plan.plan import Call, Plan, plan  # noqa: E402

READ_AHEAD = 48  # PIENN_READ_AHEAD of include/pienn/tensor.h
GUARD = 64  # of kernel_case.c
MEMORY = 64 << 10  # bytes: KERNEL_MEMORY of kernel_case.c
BENCH_MEMORY = 160 << 10
CONSTANTS = 6 << 10  # bytes of a case; whole layers are the host checker's
SEEDS = 200
WORDS_PER_LINE = 8
TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t"}
# A host has no kernels of its own: it computes the ESP32-P4's calls with the reference.
PLANNED = {"esp32p4": "esp32p4", "esp32s3": "esp32s3", "linux": "esp32p4"}


@dataclass(frozen=True)
class Storage:
    """kernel_storage of kernel_case.h."""

    seed: int
    bytes: int
    misalignment: int
    low: int
    high: int
    rails: bool

    def content(self) -> np.ndarray:
        """The same noise as that of kernel_case.c."""
        with np.errstate(over="ignore"):
            bits = np.uint32(self.seed) + np.arange(self.bytes, dtype=np.uint32) * np.uint32(0x9E3779B9)
            bits = (bits ^ bits >> np.uint32(16)) * np.uint32(0x85EBCA6B)
            bits = (bits ^ bits >> np.uint32(13)) * np.uint32(0xC2B2AE35)
        bits ^= bits >> np.uint32(16)
        if self.rails:
            return np.where(bits & 1, self.high, self.low).astype(np.int8)
        return (self.low + (bits % np.uint32(self.high - self.low + 1)).astype(np.int64)).astype(np.int8)

    def c(self) -> str:
        words = self.seed, self.bytes, self.misalignment, self.low, self.high, int(self.rails)
        return "{" + ", ".join(f"{word}u" if word > 0x7FFF_FFFF else str(word) for word in words) + "}"


@dataclass(frozen=True)
class KernelCase:
    """A call with its memory; `chip` is None where the target computes it with the reference."""

    name: str
    plan: Plan
    call: Call
    storages: Mapping[str, Storage]
    chip: Parameters | None
    reference: Parameters

    @property
    def memory(self) -> int:
        return sum(s.bytes + READ_AHEAD + GUARD + 2 * LANES for s in self.storages.values()) + GUARD

    @property
    def constants(self) -> int:
        given = [*self.reference.arrays.values(), *(self.chip.arrays.values() if self.chip else ())]
        return sum(array.nbytes for array in given)


def checker_cases(target: str, count: int) -> Iterator[KernelCase]:
    """`count` calls of every kernel that the chip has: corners and random fields in turn."""
    for kernel, version in versions(PLANNED[target]).items():
        found = 0
        for seed in range(SEEDS if version != "ref" else 0):
            case = draw_case(kernel, seed)
            if case is None:
                continue
            fields = case.fields
            words = " ".join(
                f"{key}={'x'.join(map(str, fields[key])) if isinstance(fields[key], list) else fields[key]}"
                for key in ("shape", "kernel", "height", "width", "channels", "outputs", "depth", "values")
                if key in fields
            )
            rails = fields.get("values") in ("rails", "low", "high")
            one = kernel_case(f"{kernel} seed {seed} {words}", case.graph, kernel, target, seed, rails)
            if one is None or one.memory > MEMORY or one.constants > CONSTANTS:
                continue
            yield one
            found += 1
            if found == count:
                break


def bench_cases(target: str) -> Iterator[KernelCase]:
    """The calls of `pienn bench kernels`."""
    for number, (name, shape, graph) in enumerate(kernel_graphs()):
        one = kernel_case(f"{name} {shape}", graph, None, target, number, rails=False)
        if one is not None and one.memory <= BENCH_MEMORY:
            yield one


def kernel_case(
    name: str, graph: Graph, kernel: str | None, target: str, seed: int, rails: bool
) -> KernelCase | None:
    """The first call of the kernel (None: of the layer `kernel`) that the chip does itself; None where it does none."""
    planned = plan(graph, PLANNED[target])
    for call in planned.calls:
        wanted = call.kernel.name == kernel if kernel else call.op.layer == "kernel" and not call.margins
        if not wanted or call.version == "ref":
            continue
        try:
            chip = parameters_of(planned.graph, call)
        except PiennError:  # it does not fit the lanes of the ESP32-S3
            return None
        reference = parameters_of(planned.graph, replace(call, version="ref"))
        storages = _storages(planned, call, seed, rails)
        return KernelCase(name, planned, call, storages, None if target == "linux" else chip, reference)
    return None


def _storages(planned: Plan, call: Call, seed: int, rails: bool) -> dict[str, Storage]:
    """What the call reads holds values that the packed constants are proven for; the caller's arrays lie anywhere."""
    random = np.random.default_rng([zlib.crc32(call.kernel.name.encode()), seed])
    names = dict.fromkeys(view.storage for view in (*call.reads, call.writes))
    low, high = _range(call)
    found = {}
    for name in names:
        inside = planned.storages[name] == "arena"
        limited = bool(call.reads) and name == call.reads[0].storage
        found[name] = Storage(
            int(random.integers(1 << 32)),
            _bytes(planned, name),
            0 if inside else int(random.integers(LANES)),
            low if limited else -128,
            high if limited else 127,
            rails and limited,
        )
    return found


def _bytes(planned: Plan, storage: str) -> int:
    kind, key = planned.storages[storage], storage.split(":", 1)[1]
    if kind == "arena":
        return planned.sizes[storage]
    if kind == "constant":
        return planned.graph.weights[key].nbytes
    ports = planned.graph.inputs if kind == "input" else planned.graph.outputs
    return int(np.prod(ports[int(key)].shape))


def surplus_of(one: KernelCase) -> list[tuple[int, int]]:
    """First byte and number of bytes of what the checker lets a kernel write beside the elements of its result."""
    allowed = np.concatenate([[False], _surplus(one.plan, one.call), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(allowed))
    return [(int(start), int(end - start)) for start, end in edges.reshape(-1, 2)]


def checksum_of(one: KernelCase) -> int:
    """FNV-1a of the result's storage after the reference, surplus bytes 0."""
    call = one.call
    memory = {name: storage.content() for name, storage in one.storages.items()}
    pointers = [memory[view.storage].ctypes.data + view.offset for view in (*call.reads, call.writes)]
    if call.margins is not None:
        pointers = [0, memory[call.writes.storage].ctypes.data]
    arrays = {name: np.ascontiguousarray(array) for name, array in one.reference.arrays.items()}
    addresses = {name: array.ctypes.data for name, array in arrays.items()}
    size = ctypes.sizeof(ctypes.c_void_p)
    struct = struct_bytes(call.kernel.name, addresses, one.reference.fields, size)
    function = getattr(reference_library(), f"pienn_{call.kernel.name}_ref")
    function.restype = None
    function(*(ctypes.c_void_p(pointer) for pointer in pointers), ctypes.c_char_p(struct))
    result = memory[call.writes.storage]
    for start, size in surplus_of(one):
        result[start : start + size] = 0
    value = 2166136261
    for byte in result.tobytes():
        value = (value ^ byte) * 16777619 & 0xFFFF_FFFF
    return value


class Writer:
    """The C file in the making; equal arrays are written once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.arrays: dict[bytes, str] = {}
        self.functions: set[str] = set()

    def array(self, array: np.ndarray) -> str:
        """A pointer expression; bytes are written as words, which compile faster."""
        kind = TYPES[array.dtype.name]
        data = array.tobytes()
        data += bytes(-len(data) % 4)
        if data not in self.arrays:
            name = self.arrays[data] = f"constants_{len(self.arrays)}"
            words = [f"0x{word:08x}" for word in np.frombuffer(data, "<u4")]
            self.lines.append(f"static _Alignas(16) const uint32_t {name}[] = {{")
            for start in range(0, len(words), WORDS_PER_LINE):
                self.lines.append(f"    {', '.join(words[start : start + WORDS_PER_LINE])},")
            self.lines.append("};")
        return f"(const {kind} *){self.arrays[data]}"

    def parameters(self, name: str, kernel: str, given: Parameters) -> str:
        members = [f".{field} = {self.array(array)}" for field, array in given.arrays.items()]
        if given.bodies:
            self.lines += [f"extern const pienn_body {body};" for body in given.bodies]
            bodies = ", ".join(f"&{body}" for body in given.bodies)
            self.lines.append(f"static const pienn_body *const {name}_bodies[] = {{{bodies}}};")
            members.append(f".bodies = {name}_bodies")
        members += [f".{field} = {_initialiser(value)}" for field, value in given.fields.items()]
        self.lines.append(f"static const pienn_{kernel}_params {name} = {{{', '.join(members)}}};")
        return f"&{name}"

    def function(self, kernel: str, suffix: str, operands: int) -> str:
        """A kernel behind the signature that all cases share."""
        name = f"call_{kernel}{suffix}"
        if name not in self.functions:
            self.functions.add(name)
            arguments = "a, b, y" if operands == 2 else "a, y"
            unused = "" if operands == 2 else "    (void)b;\n"
            self.lines.append(
                f"static void {name}(const int8_t *a, const int8_t *b, int8_t *y, const void *parameters) {{\n"
                f"{unused}    pienn_{kernel}{suffix}({arguments}, parameters);\n}}"
            )
        return name

    def case(self, number: int, one: KernelCase, bench: bool) -> None:
        call, kernel = one.call, one.call.kernel.name
        operands = max(len(call.reads), 1)
        reference = "NULL"
        reference_parameters = "NULL"
        if not bench:
            reference = self.function(kernel, "_ref", operands)
            reference_parameters = self.parameters(f"reference_{number}", kernel, one.reference)
        chip = self.function(kernel, "" if one.chip else "_ref", operands)
        chip_parameters = self.parameters(f"chip_{number}", kernel, one.chip or one.reference)
        names = list(one.storages)
        views = [None] if call.margins else [*call.reads]
        pointers = [
            f"{{{names.index(view.storage)}, {view.offset}}}" if view else "{-1, 0}"
            for view in [*views, *([None] * (2 - len(views)))]
        ]
        result = f"{{{names.index(call.writes.storage)}, {0 if call.margins else call.writes.offset}}}"
        surplus, runs = "NULL", surplus_of(one)
        if runs:
            surplus = f"surplus_{number}"
            members = ", ".join(f"{{{start}, {size}}}" for start, size in runs)
            self.lines.append(f"static const kernel_run {surplus}[] = {{{members}}};")
        storages = ", ".join(storage.c() for storage in one.storages.values())
        self.lines.append(
            f"static const kernel_case case_{number} = {{\n"
            f'    "{one.name}", {chip}, {reference}, {chip_parameters}, {reference_parameters},\n'
            f"    {len(names)}, {{{storages}}}, {', '.join(pointers)}, {result},\n"
            f"    {surplus}, {len(runs)}, 0x{checksum_of(one):08x}u, {call.macs}}};\n"
            f'TEST_CASE("{one.name}", "[{kernel}]") {{\n'
            f"    {'bench' if bench else 'check'}_kernel(&case_{number});\n}}\n"
        )


def _initialiser(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f".{name} = {number}" for name, number in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(map(str, value)) + "}"
    return str(int(value))  # pyright: ignore[reportArgumentType]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=list(PLANNED), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--depfile", type=Path, help="write there what the cases were made from")
    parser.add_argument("--count", type=int, default=6, help="cases of each kernel [default: 6]")
    parser.add_argument("--bench", action="store_true", help="the calls of `pienn bench kernels`")
    given = parser.parse_args(arguments)
    writer = Writer()
    writer.lines += [
        "/* Made by test_apps/kernel_cases/make_cases.py. Do not edit. */",
        '#include "kernel_case.h"\n#include "pienn/layers.h"\n#include "unity.h"\n',
    ]
    cases = bench_cases(given.target) if given.bench else checker_cases(given.target, given.count)
    for number, one in enumerate(cases):
        writer.case(number, one, given.bench)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(writer.lines) + "\n")
    if given.depfile:
        write_depfile(
            given.depfile, given.output, [Path(__file__), CHECKOUT / "tests" / "kernels" / "cases.json"]
        )


if __name__ == "__main__":
    main()
