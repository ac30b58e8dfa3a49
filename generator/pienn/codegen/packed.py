"""A plan with its constants packed, once: what every call's struct holds, and where the constants lie.

Some decisions need the packed constants: sums that leave the 20 bits of the ESP32-S3 even in two digits leave the
call to the reference, and where a layer's constants are kept depends on their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pienn.codegen.packing import LANES
from pienn.codegen.parameters import Parameters, parameters_of
from pienn.errors import PiennError
from pienn.ir.graph import Graph
from pienn.plan.constants import Budget, Stored, with_homes
from pienn.plan.plan import Call, Plan

WORD = 4
RECORD_BYTES_WORD = 1  # word of a record that holds its size, on both chips


@dataclass(frozen=True)
class Packed:
    """A plan, and the parameters of its calls in order."""

    plan: Plan
    parameters: tuple[Parameters, ...]

    def placed(self, budget: Budget) -> Packed:
        """The same with a home for the constants of every call; raises PiennError where they do not fit."""
        stored = [stored_of(call, given) for call, given in zip(self.plan.calls, self.parameters)]
        return replace(self, plan=with_homes(self.plan, stored, budget))


def pack(plan: Plan | Packed) -> Packed:
    """Pack all constants; a call that the chip's kernel cannot do exactly is left to the reference, with the reason."""
    if isinstance(plan, Packed):
        return plan
    settled = [_settled(plan.graph, call) for call in plan.calls]
    calls, parameters = tuple(call for call, _ in settled), tuple(given for _, given in settled)
    return Packed(replace(plan, calls=calls), parameters)


def _settled(graph: Graph, call: Call) -> tuple[Call, Parameters]:
    if call.version != "ref":
        try:
            parameters = parameters_of(graph, call)
        except PiennError as error:
            call = replace(call, version="ref", why=f"reference: {error}")
        else:
            return replace(call, choices=tuple(_choices(call, parameters))), parameters
    return call, parameters_of(graph, call)


def _choices(call: Call, parameters: Parameters) -> Iterator[str]:
    """What was chosen for a call of a chip's kernel, in words."""
    prefix = f"pienn_{call.kernel.name}_{call.version}_"
    if parameters.bodies:
        yield "body " + ", ".join(body.removeprefix(prefix) for body in parameters.bodies)
    proofs = [proof for _, proof in parameters.proofs]
    plain = [proof.margin for proof in proofs if proof.mode == "QACC"]
    if plain:
        yield f"QACC in {len(plain)} of {len(proofs)} blocks, margin {min(plain):.1f} bits"
    harmless = sum(proof.mode == "harmless saturation" for proof in proofs)
    if harmless:
        yield f"harmless saturation in {harmless} of {len(proofs)} blocks"
    fractions = [proof.fraction for proof in proofs if proof.mode == "two digits"]
    if fractions:
        mean = sum(fractions) / len(fractions)
        yield f"two digits in {len(fractions)} of {len(proofs)} blocks, f = {mean:.2f}"


def part_array(arrays: dict[str, np.ndarray]) -> str | None:
    """The array that can be copied to SRAM in parts: the chip's records, or the reference's weights."""
    return next((name for name in ("blocks", "weights") if name in arrays), None)


def stored_of(call: Call, parameters: Parameters) -> Stored:
    """How large the constants of a call are, as a whole and by block of outputs."""
    arrays = parameters.arrays
    size = sum(array.nbytes for array in arrays.values())
    name = part_array(arrays)
    if name == "blocks":
        return Stored(size, record_sizes(arrays[name]))
    if name == "weights":
        blocks = -(-call.writes.shape[-1] // LANES)
        return Stored(size, (arrays[name].nbytes // blocks,) * blocks)
    return Stored(size)


def record_sizes(records: np.ndarray) -> tuple[int, ...]:
    """Bytes of each record of a kernel of either chip."""
    sizes, offset, data = [], 0, records.tobytes()
    while offset < len(data):
        start = offset + WORD * RECORD_BYTES_WORD
        sizes.append(int.from_bytes(data[start : start + WORD], "little"))
        offset += sizes[-1]
    return tuple(sizes)
