"""A planned network on the simulated chip, kernel by kernel: results to the bit, cycles, bytes moved per memory."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from pienn.codegen.native import reference_library
from pienn.codegen.packed import Packed, pack, part_array
from pienn.codegen.parameters import Parameters
from pienn.codegen.structs import struct_bytes
from pienn.commands.memory import memories
from pienn.component import component_folder
from pienn.isa.assembler import assemble
from pienn.isa.object import Object
from pienn.plan.constants import Budget
from pienn.plan.kernels import COPY
from pienn.plan.plan import Call, Part, Plan, staging_storage
from pienn.plan.views import View
from pienn.sim.machine import Machine, Result
from pienn.sim.memory_models import preset

READ_AHEAD = 48  # PIENN_READ_AHEAD of include/pienn/tensor.h
POISON = 0x5A
PEAK = 16  # MAC per cycle


@dataclass
class LayerCycles:
    """What one call cost, summed over all inputs; `cycles` is None where the reference had to do it."""

    call: Call
    cycles: int | None = None
    instructions: int = 0
    moved: dict[str, int] = field(default_factory=dict)
    """Bytes read and written, by memory."""

    def add(self, result: Result) -> None:
        self.cycles = (self.cycles or 0) + result.cycles
        self.instructions += result.instructions
        for memory, traffic in result.traffic.items():
            moved = traffic.read_bytes + traffic.written_bytes
            if moved:
                self.moved[memory] = self.moved.get(memory, 0) + moved


@dataclass
class _Step:
    """One call in simulated memory; `runs` are functions with their arguments, none where the reference does it."""

    parameters: Parameters
    operands: list[int]
    target: int
    runs: list[tuple[str, list[int]]] = field(default_factory=list)


def part_fields(kernel: str, fields: dict[str, Any], part: Part) -> dict[str, Any]:
    """The fields of a call that computes some of its outputs."""
    if kernel == "fully_connected_s8":
        return fields | {"columns": part.channels}
    return fields | {"y": fields["y"] | {"channels": part.channels}}


@cache
def kernel_object(target: str, kernel: str, revision: int) -> Object:
    """The assembled source of one kernel."""
    folder = component_folder() / "src_asm" / target
    return assemble(folder / f"{kernel}.S", target, revision=revision, include=[folder])


def linked_kernels(plan: Plan | Packed, revision: int = 3) -> dict[str, Object]:
    """The chip's kernels that a plan calls, each with the bodies that its calls list: what a firmware holds of them."""
    packed = pack(plan)
    symbols: dict[str, set[str]] = {}
    for call, parameters in zip(packed.plan.calls, packed.parameters):
        if call.version != "ref":
            own = symbols.setdefault(call.kernel.name, {f"pienn_{call.kernel.name}_{call.version}"})
            own.update(parameters.bodies)
            if call.home.parts:
                symbols.setdefault(COPY.name, {f"pienn_{COPY.name}_{call.version}"})
    return {
        kernel: kernel_object(packed.plan.target, kernel, revision).reached_from(symbols[kernel])
        for kernel in sorted(symbols)
    }


def code_bytes(kernels: Iterable[Object]) -> int:
    """Code and constants of linked kernels."""
    return sum(section.size for kernel in kernels for section in kernel.sections.values())


class Simulated:
    """A plan loaded into a simulated chip.

    memory: name of a memory model; budget: where the constants lie, by default all in SRAM.
    """

    def __init__(
        self,
        plan: Plan | Packed,
        memory: str = "ideal",
        budget: Budget | None = None,
        revision: int = 3,
        checked: bool = True,
    ):
        packed = pack(plan).placed(budget or Budget(memories(memory)))
        plan, self.packed = packed.plan, packed
        self.plan, self.revision = plan, revision
        self.model = preset(memory)
        arguments = {} if checked else {"checks": 0}
        self.machine = Machine(plan.target, revision=revision, memory=memory, **arguments)  # pyright: ignore[reportArgumentType]
        kernels = linked_kernels(packed, revision)
        for kernel in kernels.values():
            self.machine.load(kernel)
        self.code_bytes = code_bytes(kernels.values())
        self.layers = [LayerCycles(call) for call in plan.calls]
        self.constant_bytes = 0
        self._addresses = self._allocate(budget.weights if budget else "SRAM")
        self._steps = [
            self._prepared(number, call, parameters)
            for number, (call, parameters) in enumerate(zip(plan.calls, packed.parameters))
        ]

    def _allocate(self, weights: str) -> dict[str, int]:
        """Addresses of inputs, outputs, constants and the arena's storages."""
        plan, machine = self.plan, self.machine
        addresses = {}
        # Surplus lanes and what is read ahead may hold anything: a pattern shows whether it reaches a result.
        content = np.full(plan.arena.total + READ_AHEAD, POISON, np.int8)
        arena = machine.buffer(content, name="arena", memory=plan.arena_memory)
        staging = plan.staging_bytes
        shared = (
            machine.buffer(np.full(staging + READ_AHEAD, POISON, np.int8), name="staging")
            if staging
            else None
        )
        for storage, kind in plan.storages.items():
            if kind == "staging" and shared is not None:
                addresses[storage] = shared.address
            elif kind == "arena" and storage in plan.arena.offsets:
                addresses[storage] = arena.address + plan.arena.offsets[storage]
            elif kind in ("input", "output"):
                port = (plan.graph.inputs if kind == "input" else plan.graph.outputs)[
                    int(storage.split(":")[1])
                ]
                addresses[storage] = machine.buffer(int(np.prod(port.shape)), np.int8, name=port.name).address
            elif kind == "constant":
                name = storage.split(":", 1)[1]
                addresses[storage] = self._constant(plan.graph.weights[name], name, weights)
        return addresses

    def _constant(self, array: np.ndarray, name: str, memory: str) -> int:
        """An array, followed by what kernels may read ahead."""
        data = array.tobytes()
        self.constant_bytes += len(data)
        padded = np.frombuffer(data + bytes(READ_AHEAD), np.uint8)
        return self.machine.buffer(padded, name=name, memory=memory, constant=True).address

    def _prepared(self, number: int, call: Call, parameters: Parameters) -> _Step:
        """The call's constants in simulated memory, and what runs it."""
        target = self._addresses[call.writes.storage] if call.margins else self._address(call.writes)
        operands = [self._address(view) for view in call.reads] or [0]
        step = _Step(parameters, operands, target)
        if call.version == "ref":
            return step
        layer = call.op.layer
        pointers = {
            name: self._constant(array, f"{layer} {name}", call.home.memory)
            for name, array in parameters.arrays.items()
        }
        if parameters.bodies:
            bodies = np.array([self.machine.address_of(body) for body in parameters.bodies], "<u4")
            pointers["bodies"] = self._constant(bodies, f"{layer} bodies", call.home.memory)
        kernel, version = call.kernel.name, call.version
        if not call.home.parts:
            struct = self._struct(kernel, pointers, parameters.fields, layer)
            step.runs.append((f"pienn_{kernel}_{version}", [*operands, target, struct]))
            return step
        copied = part_array(parameters.arrays)
        assert copied is not None
        buffer = self._addresses[staging_storage(number)]
        for part in call.home.parts:
            copy = {"shape": [1, 1, 1, part.bytes], "x_strides": [0, 0, 0, 1], "y_strides": [0, 0, 0, 1]}
            struct = self._struct(COPY.name, {}, copy, f"{layer} copy")
            step.runs.append(
                (f"pienn_{COPY.name}_{version}", [pointers[copied] + part.offset, buffer, struct])
            )
            fields = part_fields(kernel, parameters.fields, part)
            struct = self._struct(kernel, pointers | {copied: buffer}, fields, layer)
            step.runs.append((f"pienn_{kernel}_{version}", [*operands, target + part.first, struct]))
        return step

    def _struct(self, kernel: str, pointers: dict[str, int], fields: dict[str, Any], layer: str) -> int:
        """A parameter struct in simulated memory."""
        data = np.frombuffer(struct_bytes(kernel, pointers, fields), np.uint8)
        return self.machine.buffer(data, name=f"{layer} parameters", constant=True).address

    def run(
        self, inputs: Sequence[np.ndarray], taps: dict[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """As Native.run: stored int8 in graph layout with batch axis; cycles add up in `layers`."""
        graph = self.plan.graph
        outputs = [np.zeros((len(inputs[0]), *port.shape), np.int8) for port in graph.outputs]
        collected: dict[str, list[np.ndarray]] = {}
        for index in range(len(inputs[0])):
            for number, array in enumerate(inputs):
                self.machine.write(self._addresses[f"input:{number}"], np.ascontiguousarray(array[index]))
            for layer, step in zip(self.layers, self._steps):
                self._step(layer, step)
                if taps is not None and layer.call.margins is None:
                    tensor = self.plan.tensors[layer.call.op.result]
                    collected.setdefault(tensor.name, []).append(self._read(tensor.view))
            for number, array in enumerate(outputs):
                data = self.machine.read(self._addresses[f"output:{number}"], array[index].size)
                array[index] = np.frombuffer(data, np.int8).reshape(array.shape[1:])
        if taps is not None:
            # A concatenation that takes several copies is complete after the last one of each input.
            for name, arrays in collected.items():
                each = len(arrays) // len(inputs[0])
                taps[name] = np.stack(arrays[each - 1 :: each])
        return outputs

    def _address(self, view: View) -> int:
        return self._addresses[view.storage] + view.offset

    def _step(self, layer: LayerCycles, step: _Step) -> None:
        if layer.call.version == "ref":
            self._step_on_host(layer.call, step.parameters, step.operands, step.target)
        for function, arguments in step.runs:
            layer.add(self.machine.call(function, *arguments))

    def _step_on_host(self, call: Call, parameters: Parameters, operands: Sequence[int], target: int) -> None:
        """The reference layer on a host copy of the storages that the call touches; costs no simulated cycles."""
        copies: dict[str, tuple[int, np.ndarray]] = {}
        pointers = []
        for view in (*call.reads, call.writes):
            if view.storage not in copies:
                start, size = self._addresses[view.storage], self._size(view.storage)
                copies[view.storage] = (start, np.frombuffer(self.machine.read(start, size), np.int8).copy())
        for address, view in zip((*operands, target), (*call.reads, call.writes)):
            start, copy = copies[view.storage]
            pointers.append(copy.ctypes.data + address - start)
        if call.margins:
            pointers = [0, copies[call.writes.storage][1].ctypes.data]
        arrays = {name: np.ascontiguousarray(array) for name, array in parameters.arrays.items()}
        addresses = {name: array.ctypes.data for name, array in arrays.items()}
        struct = struct_bytes(call.kernel.name, addresses, parameters.fields, ctypes.sizeof(ctypes.c_void_p))
        function = getattr(reference_library(), f"pienn_{call.kernel.name}_ref")
        function.restype = None
        function(*(ctypes.c_void_p(pointer) for pointer in pointers), ctypes.c_char_p(struct))
        start, copy = copies[call.writes.storage]
        self.machine.write(start, copy)

    def _size(self, storage: str) -> int:
        kind = self.plan.storages[storage]
        if kind == "arena":
            return self.plan.sizes[storage]
        if kind == "constant":
            return self.plan.graph.weights[storage.split(":", 1)[1]].nbytes
        ports = self.plan.graph.inputs if kind == "input" else self.plan.graph.outputs
        return int(np.prod(ports[int(storage.split(":")[1])].shape))

    def _read(self, view: View) -> np.ndarray:
        """A tensor out of simulated memory."""
        extent = 1 + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides))
        flat = np.frombuffer(self.machine.read(self._address(view), extent), np.int8)
        return np.lib.stride_tricks.as_strided(flat, view.shape, view.strides).copy()
