"""What a report shows, as plain values: the layers with their wires, every call, storages over time, proofs, totals.

Everything here can be written as JSON. Names of layers, tensors and files come from the model and are not trusted: they
leave this module as they are, and the drawing and the template escape them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from xdsl.ir import SSAValue

from pienn.codegen.packed import Packed, pack
from pienn.ir.dialect import ConstantOp, PiennOp, encoding_of, is_activation, shape_of
from pienn.ir.graph import Port
from pienn.plan.issue_bound import issue_bound
from pienn.plan.kernels import is_depthwise
from pienn.plan.plan import Call, Plan, staging_storage
from pienn.report import drawing
from pienn.version import VERSION

PEAK = 16  # MAC per cycle
REFERENCE = "reference: "
FAMILIES = {
    "convolution": ("conv2d", "conv_transpose2d"),
    "matrix": ("fully_connected", "matmul"),
    "elementwise": ("add", "sub", "mul", "requantize", "prelu", "lut", "softmax"),
    "pooling": ("max_pool2d", "avg_pool2d", "mean", "resize_nearest", "resize_bilinear"),
}
MOVING = "moving bytes"


def family_of(op: PiennOp) -> str:
    """Which of the colours an op gets."""
    if is_depthwise(op):
        return "depthwise"
    return next((name for name, members in FAMILIES.items() if op.short_name in members), MOVING)


def describe(
    planned: Plan | Packed, source: str, figures: Mapping[str, Any] | None, setting: str
) -> dict[str, Any]:
    """The report of a plan.

    source: the model file's name. figures: what one simulated input cost, as `pienn run --json` has it, None on the
    host. setting: where that was simulated, in words. The plan must be the one that ran: its calls are those of
    `figures["layers"]`.
    """
    packed = pack(planned)
    plan = packed.plan
    calls = _calls(packed, figures)
    layers = _layers(plan, calls)
    storages = _storages(plan)
    return {
        "model": plan.graph.name,
        "source": source,
        "target": plan.target,
        "setting": setting,
        "version": VERSION,
        "totals": _totals(plan, calls, layers, figures),
        "inputs": [_port(port) for port in plan.graph.inputs],
        "outputs": _outputs(plan),
        "layers": layers,
        "calls": calls,
        "arena": {
            "bytes": plan.arena.total,
            "memory": plan.arena_memory,
            "optimal": plan.arena.optimal,
            "lower_bound": plan.arena.lower_bound,
            "storages": storages,
            "live": [
                sum(s["bytes"] for s in storages if s["first"] <= step <= s["last"])
                for step in range(len(calls))
            ],
        },
        "reference": _reasons(calls),
    }


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pienn.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters["count"] = drawing.count
    environment.filters["size"] = drawing.size
    return environment


def render(report: Mapping[str, Any]) -> str:
    """The page: one HTML document that needs nothing besides itself."""
    return _environment().get_template("report.html.jinja").render(report=report, draw=drawing, peak=PEAK)


# ---- Calls and layers ----


def _calls(packed: Packed, figures: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row for every call, in the order of time."""
    plan = packed.plan
    counted = figures["layers"] if figures else [{"cycles": None, "moved": {}}] * len(plan.calls)
    rows = []
    for number, (call, parameters, row) in enumerate(zip(plan.calls, packed.parameters, counted)):
        rows.append(
            {
                "number": number,
                "layer": call.op.layer or call.op.short_name,
                "op": _purpose(call),
                "kernel": f"{call.kernel.name}_{call.version}",
                "family": MOVING if call.margins or call.kernel.name == "copy_s8" else family_of(call.op),
                "shape": list(call.writes.shape),
                "macs": call.macs,
                "cycles": row["cycles"],
                "bound": issue_bound(call),
                "constants": sum(array.nbytes for array in parameters.arrays.values()),
                "moved": dict(row["moved"]),
                "why": call.why,
                "choices": list(call.choices),
                "home": _home(call),
                "proof": [_proof(body, proof) for body, proof in parameters.proofs],
            }
        )
    return rows


def _purpose(call: Call) -> str:
    if call.margins:
        return "halo"
    return f"copy for {call.op.short_name}" if call.kernel.name == "copy_s8" else call.op.short_name


def _home(call: Call) -> dict[str, Any] | None:
    """Where the constants of a call lie; None where it has none."""
    home = call.home
    if not home.bytes:
        return None
    return {"memory": home.memory, "bytes": home.bytes, "parts": len(home.parts), "why": home.why}


def _proof(body: str, proof: Any) -> dict[str, Any]:
    return {"body": body, "mode": proof.mode, "margin": proof.margin, "fraction": proof.fraction}


def _layers(plan: Plan, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for every op, also for those that cost nothing because they are views; `sources` are rows, -1 and below
    the inputs: the last input is -1."""
    places = _places(plan)
    by_op: dict[PiennOp, list[int]] = {}
    for number, call in enumerate(plan.calls):
        by_op.setdefault(call.op, []).append(number)
    rows = []
    for op in plan.graph.layers:
        operands, numbers = _operands(op), by_op.get(op, [])
        own = [calls[number] for number in numbers]
        cycles = [row["cycles"] for row in own if row["cycles"] is not None]
        moved: dict[str, int] = {}
        for row in own:
            for memory, size in row["moved"].items():
                moved[memory] = moved.get(memory, 0) + size
        rows.append(
            {
                "name": op.layer or op.short_name,
                "op": _op_text(op),
                "family": family_of(op),
                "operands": [list(shape_of(operand)) for operand in operands],
                **_described(op.result),
                "sources": [places[operand] for operand in operands],
                "calls": numbers,
                "macs": sum(row["macs"] for row in own),
                "cycles": sum(cycles) if cycles else None,
                "bound": sum(row["bound"] for row in own if row["cycles"] is not None),
                "unmeasured_bound": sum(row["bound"] for row in own if row["cycles"] is None),
                "constants": sum(row["constants"] for row in own) + _stored_operands(plan, numbers),
                "homes": [row["home"] for row in own if row["home"]],
                "moved": moved,
                "reference": sum(row["why"].startswith(REFERENCE) for row in own),
            }
        )
    return rows


def _operands(op: PiennOp) -> list[SSAValue]:
    """The activations that the op reads, without stored ones."""
    return [x for x in op.operands if is_activation(x) and not isinstance(x.owner, ConstantOp)]


def _places(plan: Plan) -> dict[SSAValue, int]:
    """Value -> the row of `layers` that computes it; inputs count down from the last, which is -1."""
    ports = plan.graph.inputs
    places: dict[SSAValue, int] = {port.value: i - len(ports) for i, port in enumerate(ports)}
    return places | {op.result: row for row, op in enumerate(plan.graph.layers)}


def _outputs(plan: Plan) -> list[dict[str, Any]]:
    places = _places(plan)
    return [{**_port(port), "source": places[port.value]} for port in plan.graph.outputs]


def _stored_operands(plan: Plan, numbers: list[int]) -> int:
    """Bytes of the constants that calls read as ordinary operands."""
    storages = {view.storage for number in numbers for view in plan.calls[number].reads}
    names = [storage.split(":", 1)[1] for storage in storages if plan.storages[storage] == "constant"]
    return sum(plan.graph.weights[name].nbytes for name in names)


def _op_text(op: PiennOp) -> str:
    """The op with what tells it from others of its kind: `conv2d 3×3, stride 2`."""
    given: dict[str, Any] = dict(op.parameters)
    text = op.short_name
    kernel = given.get("kernel")
    if op.short_name in ("conv2d", "conv_transpose2d"):
        kernel = shape_of(op.operands[1])[1:3]
        text = f"depthwise {text}" if is_depthwise(op) else text
    if kernel:
        text += f" {kernel[0]}×{kernel[1]}"
    strides = given.get("strides") if kernel else None
    if strides and max(strides) > 1:
        text += (
            f", stride {strides[0]}" if len(set(strides)) == 1 else f", strides {strides[0]}, {strides[1]}"
        )
    if max(given.get("dilation", (1,))) > 1:
        text += f", dilation {'×'.join(map(str, given['dilation']))}"
    if given.get("groups", 1) > 1 and not is_depthwise(op):
        text += f", {given['groups']} groups"
    return text


def _described(value: SSAValue) -> dict[str, Any]:
    exponent, zero_point = encoding_of(value)
    return {"shape": list(shape_of(value)), "exponent": exponent, "zero_point": zero_point}


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, **_described(port.value)}


# ---- Memory ----


def _spans(plan: Plan) -> dict[str, tuple[int, int]]:
    """First and last call of every storage."""
    touched: dict[str, list[int]] = {}
    for step, call in enumerate(plan.calls):
        for view in (*call.reads, call.writes):
            touched.setdefault(view.storage, []).append(step)
        if call.home.parts:
            touched.setdefault(staging_storage(step), []).append(step)
    for value, _ in plan.copies_out:
        touched.setdefault(plan.tensors[value].view.storage, []).append(len(plan.calls) - 1)
    return {storage: (min(steps), max(steps)) for storage, steps in touched.items()}


def _storages(plan: Plan) -> list[dict[str, Any]]:
    """What lies in the arena: offset, bytes, and from which call to which; `tensors` in the order of time."""
    spans = _spans(plan)
    staged = {staging_storage(step): call for step, call in enumerate(plan.calls) if call.home.parts}
    rows = []
    for storage, offset in plan.arena.offsets.items():
        held = [item for item in plan.tensors.items() if item[1].view.storage == storage]
        held.sort(key=lambda item: item[1].first)
        maker = max(held, key=lambda item: item[1].view.bytes, default=None)
        owner = maker[0].owner if maker else None
        first, last = spans[storage]
        rows.append(
            {
                "tensors": [tensor.name for _, tensor in held]
                or [f"constants of {staged[storage].op.layer}"],
                "family": family_of(owner) if isinstance(owner, PiennOp) else MOVING,
                "offset": offset,
                "bytes": plan.sizes[storage],
                "first": first,
                "last": last,
            }
        )
    return sorted(rows, key=lambda row: (row["first"], row["offset"]))


# ---- Sums ----


def _totals(
    plan: Plan,
    calls: list[dict[str, Any]],
    layers: list[dict[str, Any]],
    figures: Mapping[str, Any] | None,
) -> dict[str, Any]:
    totals = {
        "macs": plan.macs,
        "layers": len(layers),
        "calls": len(calls),
        "reference_calls": sum(row["why"].startswith(REFERENCE) for row in calls),
        "arena_bytes": plan.arena.total,
        "constant_bytes": sum(layer["constants"] for layer in layers),
        "bound": sum(row["bound"] for row in calls if row["cycles"] is not None),
    }
    if figures is None:
        return totals
    moved: dict[str, int] = {}
    for row in calls:
        for memory, size in row["moved"].items():
            moved[memory] = moved.get(memory, 0) + size
    homes: dict[str, int] = {}
    for home in (row["home"] for row in calls if row["home"]):
        homes[home["memory"]] = homes.get(home["memory"], 0) + home["bytes"]
    totals |= {"sram_bytes": plan.sram_bytes, "homes": homes}
    names = ("cycles", "ms", "clock_mhz", "counted_macs", "mac_per_cycle", "code_bytes")
    return totals | {name: figures[name] for name in names} | {"moved": moved}


def _reasons(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls that the chip leaves to the reference, by reason."""
    reasons: dict[str, list[int]] = {}
    for row in calls:
        if row["why"].startswith(REFERENCE):
            reasons.setdefault(row["why"].removeprefix(REFERENCE), []).append(row["number"])
    return [{"why": why, "calls": numbers} for why, numbers in reasons.items()]
