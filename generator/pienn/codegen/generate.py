"""Write a plan as C: `<name>.h`, `<name>.c`, `<name>_weights.h`, `<name>_weights.c`.

The same plan gives the same bytes on every machine. The files appear together or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pienn.codegen.names import Namer, identifier, model_identifier
from pienn.codegen.packed import Packed, pack, part_array
from pienn.codegen.parameters import Parameters, shadow_arrays
from pienn.ir.graph import Port
from pienn.plan.plan import Call, Part, Plan, staging_storage
from pienn.plan.shadow import SHADOW, with_shadow
from pienn.plan.views import View
from pienn.version import VERSION

WORDS_PER_LINE = 8
# numpy dtype -> C type of the arrays that are written as 32-bit words, which compile in half the time of single
# bytes. The others are read under their own type, because C lets only bytes and int32 be read out of words.
WORD_ARRAYS = {"int8": "int8_t", "uint8": "uint8_t", "int32": "int32_t"}

# What generated C calls its own variables, functions and macros.
RESERVED = (
    "arena", "tap", "context", "watch", "cycles", "difference", "layers", "run",
    "START", "DONE", "WATCH_PARAMETER", "UNWATCHED",
)  # fmt: skip


@dataclass
class Constant:
    """An array of the weights file."""

    name: str
    element: str
    array: np.ndarray
    is_words: bool
    comment: str
    in_sram: bool = False

    @property
    def lines(self) -> list[str]:
        """The initialiser, a few numbers a line."""
        if self.is_words:
            data = self.array.tobytes()
            data += bytes(-len(data) % 4)
            numbers = [f"0x{word:08x}" for word in np.frombuffer(data, "<u4")]
        else:
            numbers = [str(number) for number in self.array.ravel().tolist()]
        return [", ".join(numbers[i : i + WORDS_PER_LINE]) for i in range(0, len(numbers), WORDS_PER_LINE)]

    @property
    def stored_type(self) -> str:
        return "uint32_t" if self.is_words else f"{self.element}"

    @property
    def count(self) -> int:
        return -(-self.array.nbytes // 4) if self.is_words else self.array.size

    @property
    def pointer(self) -> str:
        """The array as a pointer of the field's type."""
        return f"(const {self.element} *){self.name}" if self.is_words else self.name


@dataclass
class Parts:
    """Of a call whose constants pass through SRAM: fields of its struct, in C, and the parts."""

    function: str  # the kernel
    constants: str  # what is copied
    channels: str  # outputs of the call
    moving: list[str]  # other pointers that go on by one element per output
    parts: tuple[Part, ...]


@dataclass
class Reference:
    """Of a call that the reference computes too: that call, and the comparison of both results, in C."""

    call: str
    comparison: str


@dataclass
class Layer:
    """One call as the template prints it."""

    number: int
    identifier: str
    comment: str
    kernel: str
    function: str
    operands: list[str]
    result: str
    struct: list[str]
    bodies: tuple[str, ...]
    row: str
    parts: Parts | None = None
    reference: Reference | None = None


@dataclass
class Model:
    """Everything that the templates show."""

    name: str
    plan: Plan
    arena: str
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    buffers: list[dict[str, Any]] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    copies_out: list[dict[str, Any]] = field(default_factory=list)
    staging: str = ""
    """The buffer beside an arena in PSRAM, if there is one."""
    source: str = ""
    version: str = VERSION

    @property
    def ports(self) -> str:
        """The tensors as C parameters."""
        inputs = [f"const int8_t *{port['identifier']}" for port in self.inputs]
        return ", ".join([*inputs, *(f"int8_t *{port['identifier']}" for port in self.outputs)])

    @property
    def arguments(self) -> str:
        """The tensors as C arguments."""
        return ", ".join(port["identifier"] for port in [*self.inputs, *self.outputs])

    @property
    def bodies(self) -> list[str]:
        """The symbols of all lists of bodies."""
        return sorted({body for layer in self.layers for body in layer.bodies})

    @property
    def shadow(self) -> bool:
        """Whether the reference computes everything too."""
        return SHADOW in self.plan.arena.offsets

    @property
    def weight_bytes(self) -> int:
        return sum(constant.array.nbytes for constant in self.constants)


def generate(
    plan: Plan | Packed,
    folder: Path | str,
    name: str | None = None,
    arena: str = "static",
    source: str = "",
    shadow: bool = False,
) -> list[Path]:
    """Write the C files of a plan into `folder` and return their paths; see `describe` and `write`."""
    packed = pack(plan)
    return write(describe(packed, name or identifier(packed.plan.graph.name), arena, source, shadow), folder)


def write(model: Model, folder: Path | str) -> list[Path]:
    """Write the C files of a described plan."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".pienn-", dir=folder))
    try:
        written = []
        for template in ("model.h", "model.c", "model_weights.h", "model_weights.c"):
            file_name = template.replace("model", model.name, 1)
            text = _environment().get_template(f"{template}.jinja").render(model=model)
            (stage / file_name).write_text(text, newline="\n")
            written.append(file_name)
        for file_name in written:
            os.replace(stage / file_name, folder / file_name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return [folder / file_name for file_name in written]


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("pienn.codegen"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def describe(
    plan: Plan | Packed, name: str, arena: str = "static", source: str = "", shadow: bool = False
) -> Model:
    """Name everything and turn calls into text.

    arena: 'static' adds `<name>_run`, which brings its own arena; 'caller' leaves only `<name>_run_in`.
    source: a line for the files' head that says what they were made from.
    shadow: the reference computes beside every kernel of the chip, and both results are compared.
    Raises PiennError for a name that is no C identifier.
    """
    packed = pack(plan)
    plan = with_shadow(packed.plan) if shadow else packed.plan
    model = Model(model_identifier(name), plan, arena, source=source)
    namer = Namer((*RESERVED, name))
    graph = plan.graph
    model.inputs = [_port(port, namer(port.name)) for port in graph.inputs]
    model.outputs = [_port(port, namer(port.name)) for port in graph.outputs]
    pointers = {f"input:{i}": port["identifier"] for i, port in enumerate(model.inputs)}
    pointers |= {f"output:{i}": port["identifier"] for i, port in enumerate(model.outputs)}
    constants = _Constants(name, model)
    for storage, kind in plan.storages.items():
        if kind == "constant":
            key = storage.split(":", 1)[1]
            pointers[storage] = constants.add(identifier(key), "", graph.weights[key], key).pointer
    _name_buffers(model, namer, pointers)
    layer_namer = Namer()
    for number, (call, parameters) in enumerate(zip(plan.calls, packed.parameters)):
        own = layer_namer(call.op.layer or call.op.short_name)
        model.layers.append(_layer(model, constants, pointers, number, call, parameters, own))
    model.copies_out = [
        {
            "target": f"output:{index}",
            "to": pointers[f"output:{index}"],
            "from": _address(plan.tensors[value].view, pointers),
            "bytes": plan.tensors[value].view.bytes,
        }
        for value, index in plan.copies_out
    ]
    return model


def _port(port: Port, name: str) -> dict[str, Any]:
    elements = int(np.prod(port.shape))
    return {
        "name": port.name,
        "identifier": name,
        "shape": " x ".join(map(str, port.shape)),
        "axes": {1: "", 2: " (width, channels)", 3: " (height, width, channels)"}.get(len(port.shape), ""),
        "elements": elements,
        "exponent": port.exponent,
        "zero_point": port.zero_point,
    }


class _Constants:
    """The arrays of the weights file; equal arrays are stored once."""

    def __init__(self, prefix: str, model: Model):
        self._prefix, self._model = prefix, model
        self._namer = Namer()
        self._known: dict[tuple[str, bytes], Constant] = {}

    def add(self, owner: str, kind: str, array: np.ndarray, comment: str, in_sram: bool = False) -> Constant:
        array = np.ascontiguousarray(array)
        key = (array.dtype.name, array.tobytes())
        if key not in self._known:
            name = self._namer(f"{self._prefix}_{owner}_{kind}" if kind else f"{self._prefix}_{owner}")
            is_words = array.dtype.name in WORD_ARRAYS
            element = WORD_ARRAYS.get(array.dtype.name, f"{array.dtype.name}_t")
            shape = "".join(f"[{size}]" for size in array.shape)
            constant = Constant(name, element, array, is_words, f"{comment}: {element} {shape}")
            self._known[key] = constant
            self._model.constants.append(constant)
        self._known[key].in_sram |= in_sram
        return self._known[key]


def _name_buffers(model: Model, namer: Namer, pointers: dict[str, str]) -> None:
    """One pointer variable for each storage of the arena, named after the first tensor that fills it."""
    plan = model.plan
    names: dict[str, str] = {}
    for tensor in sorted(plan.tensors.values(), key=lambda tensor: -tensor.view.bytes):
        names.setdefault(tensor.view.storage, tensor.name)
    names |= {
        staging_storage(number): f"{call.op.layer} staged"
        for number, call in enumerate(plan.calls)
        if call.home.parts
    }
    names[SHADOW] = "by_reference"
    if plan.staging_bytes:
        shared = namer("staged")
        model.staging = shared
        pointers |= {storage: shared for storage, kind in plan.storages.items() if kind == "staging"}
    for storage, offset in plan.arena.offsets.items():
        pointers[storage] = namer(names[storage])
        model.buffers.append({"identifier": pointers[storage], "offset": offset})


def _address(view: View, pointers: dict[str, str]) -> str:
    pointer = pointers[view.storage]
    return f"{pointer} + {view.offset}" if view.offset else pointer


def _layer(
    model: Model,
    constants: _Constants,
    pointers: dict[str, str],
    number: int,
    call: Call,
    parameters: Parameters,
    own: str,
) -> Layer:
    in_sram = model.plan.target != "host" and call.home.memory == "SRAM" and call.home.bytes > 0
    struct = []
    for name, array in parameters.arrays.items():
        constant = constants.add(own, name, array, f"{call.op.layer or own} {name}", in_sram)
        struct.append(f".{name} = {constant.pointer}")
    if parameters.bodies:
        struct.append(f".bodies = {own}_bodies")
    struct += [f".{name} = {_value(value)}" for name, value in parameters.fields.items()]
    function = f"pienn_{call.kernel.name}" + _explicit_version(model.plan, call)
    operands = ["NULL"] if call.margins else [_address(view, pointers) for view in call.reads]
    result = pointers[call.writes.storage] if call.margins else _address(call.writes, pointers)
    reference = None
    if model.shadow and call.version != "ref":
        for name, array in shadow_arrays(model.plan.graph, call, parameters).items():
            constant = constants.add(own, name, array, f"{call.op.layer or own} {name}, for the reference")
            struct.append(f".{name} = {constant.pointer}")
        reference = _reference(call, number, own, operands, result, pointers[SHADOW])
    parts = None
    if call.home.parts:
        parts = _parts(call, parameters, function)
        function = f"{own}_in_parts"
        operands = [pointers[staging_storage(number)], *operands]
    return Layer(
        number,
        own,
        f"{call.op.layer or own}: {_purpose(call)}",
        call.kernel.name,
        function,
        operands,
        result,
        struct,
        parameters.bodies,
        _row(model.plan, call, own),
        parts,
        reference,
    )


def _row(plan: Plan, call: Call, own: str) -> str:
    """The call's pienn_layer of include/pienn/watch.h."""
    tensor = plan.tensors[call.op.result]
    view, name = (call.writes, "NULL") if _is_part(call) else (tensor.view, f'"{tensor.name}"')
    op = "halo" if call.margins else call.op.short_name
    shape, strides = (", ".join(map(str, sizes)) for sizes in (view.shape, view.strides))
    return (
        f'{{"{call.op.layer or own}", {name}, "{op}", "{call.kernel.name}_{call.version}", {call.macs}, '
        f"{len(view.shape)}, {{{shape}}}, {{{strides}}}}}"
    )


def _reference(
    call: Call, number: int, own: str, operands: list[str], result: str, by_reference: str
) -> Reference:
    """The same call of the reference into the second output."""
    compare, extra = "pienn_watch_compare", ""
    if call.margins:
        compare, extra = "pienn_watch_compare_border", f", &{own}_params"
    return Reference(
        f"pienn_{call.kernel.name}_ref({', '.join([*operands, by_reference])}, &{own}_params)",
        f"{compare}(watch, {number}, {result}, {by_reference}{extra})",
    )


def _parts(call: Call, parameters: Parameters, function: str) -> Parts:
    """How a kernel is called for some of its outputs: layers.h names the fields."""
    constants = part_array(parameters.arrays)
    assert constants is not None
    channels = "columns" if call.kernel.name == "fully_connected_s8" else "y.channels"
    moving = [name for name in parameters.arrays if name != constants]
    return Parts(function, constants, channels, moving, call.home.parts)


def _is_part(call: Call) -> bool:
    """Whether the call writes only a part of its op's result, or only what surrounds it."""
    return call.margins is not None or (call.kernel.name == "copy_s8" and call.op.short_name == "concat")


def _purpose(call: Call) -> str:
    """What the call does, for its comment, and why it is not done by the chip's own kernel."""
    result = "x".join(map(str, call.writes.shape))
    reason = f" ({call.why})" if call.why.startswith("reference: ") else ""
    if call.margins:
        return f"{call.margins.value} around {result}, the padding of what reads it{reason}"
    reason += f"; constants {call.home.why}" if call.home.why else ""
    operands = " and ".join("x".join(map(str, view.shape)) for view in call.reads)
    macs = f", {call.macs} MAC" if call.macs else ""
    if call.kernel.name == "copy_s8":
        return f"copy for {call.op.short_name} ({call.why}), {operands} -> {result}"
    return f"{call.op.short_name}, {operands} -> {result}{macs}{reason}"


def _explicit_version(plan: Plan, call: Call) -> str:
    """The suffix of a call that must not take the version of the build's target."""
    return "_ref" if plan.target != "host" and call.version == "ref" else ""


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f".{name} = {number}" for name, number in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(map(str, value)) + "}"
    return str(int(value))
