"""`.pt2` files of torch.export, rebuilt without torch's own loader.

`torch.export.load` opens pickles (sample inputs, weights marked `use_pickle`, custom objects), hands size
expressions to sympy's parser, looks up any attribute of `torch` that a node names, and compiles the
archive's `guards_code` as Python. So a `.pt2` from a stranger can run code. Here its JSON and its raw
tensors are all that is read: a graph is built node by node from a closed list of pure tensor operators.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from pienn.errors import PiennError
from pienn.frontend import aten_elementwise, aten_shapes, aten_windows
from pienn.frontend.archive import Archive, mapping, sequence
from pienn.frontend.reading import HANDLERS

assert aten_elementwise and aten_shapes and aten_windows  # they register what is read

_SCHEMA_MAJOR = 8
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,199}")
_TARGET = re.compile(r"torch\.ops\.(aten|quantized_decomposed)\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)")
_LARGEST_INTEGER = 1 << 40

_INTEGER_OPERATORS = {
    f"_operator.{name}": getattr(operator, name) for name in ("add", "sub", "mul", "floordiv", "mod", "neg")
}

_PREPARATIONS = frozenset(
    f"aten.{name}"
    for name in (
        "dropout.default", "dropout_.default", "feature_dropout.default", "alpha_dropout.default",
        "relu_.default", "relu6_.default", "hardtanh_.default", "clamp_.default", "clamp_min_.default",
        "clamp_max_.default", "leaky_relu_.default", "sigmoid_.default", "tanh_.default", "silu_.default",
        "hardswish_.default", "hardsigmoid_.default", "elu_.default", "add_.Tensor", "sub_.Tensor",
        "mul_.Tensor", "div_.Tensor", "add_.Scalar", "sub_.Scalar", "mul_.Scalar", "div_.Scalar",
        "sym_size.int", "clone.default", "contiguous.default", "alias.default", "detach.default",
        "detach_.default", "lift_fresh_copy.default", "batch_norm.default", "instance_norm.default",
        "_native_batch_norm_legit_no_training.default", "to.dtype", "_to_copy.default",
    )
)  # fmt: skip
"""Pure operators that are gone before the graph is read, beside those that `reading` reads."""

_QUANTISATION = frozenset(
    f"quantized_decomposed.{way}_{what}.default"
    for way in ("quantize", "dequantize")
    for what in ("per_tensor", "per_channel")
)

_SCALAR_TYPES = {1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 7: torch.float32,
                 8: torch.float64}  # fmt: skip
_MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}


@dataclass(frozen=True)
class Pt2:
    """A rebuilt program.

    `module` takes float32 tensors with batch axis; `shapes` are its inputs' shapes without batch axis;
    `names` their names; `quantised` tells whether it contains quantise/dequantise operators.
    """

    module: GraphModule
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    quantised: bool


def load(path: Path) -> Pt2:
    """Rebuild the program of a `.pt2` file; nothing in the file is executed.

    Raises `PiennError` with one line for whatever is wrong with the file.
    """
    return _Rebuilder(Archive(path)).run()


class _Rebuilder:
    def __init__(self, archive: Archive) -> None:
        self.path = archive.path
        self.archive = archive
        self.root = torch.nn.Module()
        self.graph = Graph()
        self.values: dict[str, Node] = {}
        self.meta: Mapping[str, Any] = {}
        self.quantised = False

    def fail(self, message: str) -> PiennError:
        return PiennError(f"{self.path}: {message}")

    def run(self) -> Pt2:
        files = self.archive.files
        if "serialized_exported_program.json" in files or "models/model.json" not in files:
            raise self.fail("not a program saved by torch.export.save of torch 2.8 or later; save it again")
        document = mapping(self.archive.json("models/model.json"), str(self.path))
        version = mapping(document.get("schema_version"), f"{self.path}: schema version").get("major")
        if version != _SCHEMA_MAJOR:
            raise self.fail(f"schema version {version!r}, but {_SCHEMA_MAJOR} is understood; save it again")
        module = mapping(document.get("graph_module"), str(self.path))
        graph = mapping(module.get("graph"), f"{self.path}: graph")
        self.meta = mapping(graph.get("tensor_values"), f"{self.path}: tensor values")
        tensors = self.archive.tensors("data/weights/model_weights_config.json", "data/weights")
        constants = self.archive.tensors("data/constants/model_constants_config.json", "data/constants")
        signature = mapping(module.get("signature"), f"{self.path}: signature")
        names, shapes = self._inputs(
            sequence(signature.get("input_specs"), str(self.path)), tensors, constants
        )
        for node in sequence(graph.get("nodes"), f"{self.path}: nodes"):
            self._node(mapping(node, f"{self.path}: node"))
        self._outputs(sequence(signature.get("output_specs"), str(self.path)))
        rebuilt = GraphModule(self.root, self.graph)
        rebuilt.eval()
        return Pt2(rebuilt, tuple(names), tuple(shapes), self.quantised)

    def _identifier(self, value: Any) -> str:
        if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
            raise self.fail(f"{str(value)[:60]!r} is no name for a tensor")
        return value

    def _inputs(
        self, specs: list[Any], tensors: Mapping[str, Any], constants: Mapping[str, Any]
    ) -> tuple[list[str], list[tuple[int, ...]]]:
        names: list[str] = []
        shapes: list[tuple[int, ...]] = []
        kinds = {
            "parameter": "parameter_name",
            "buffer": "buffer_name",
            "tensor_constant": "tensor_constant_name",
        }
        for position, entry in enumerate(specs):
            spec = mapping(entry, f"{self.path}: input")
            kind = next(iter(spec), "")
            content = mapping(spec.get(kind), f"{self.path}: input")
            argument = mapping(content.get("arg"), f"{self.path}: input {kind}")
            if kind in kinds:
                name, key = self._identifier(argument.get("name")), content.get(kinds[kind])
                if not isinstance(key, str) or not _ATTRIBUTE.fullmatch(key):
                    raise self.fail(f"{str(key)[:60]!r} is no name for a weight")
                source = tensors if key in tensors else constants
                if key not in source:
                    raise self.fail(f"weight {key} is named by the graph but not in the file")
                attribute = f"constant_{position}"
                self._register(attribute, source[key], kind == "parameter")
                self.values[name] = self.graph.create_node("get_attr", attribute, name=name)
            elif kind == "user_input" and isinstance(argument.get("as_tensor"), dict):
                name = self._identifier(argument["as_tensor"].get("name"))
                names.append(name)
                shapes.append(self._input_shape(name))
                self.values[name] = self.graph.placeholder(name)
            else:
                raise self.fail(f"an input of kind {str(kind)[:40]!r}; only tensors are taken")
        if not names:
            raise self.fail("the program has no input")
        return names, shapes

    def _register(self, attribute: str, tensor: torch.Tensor, parameter: bool) -> None:
        if parameter and tensor.is_floating_point():
            self.root.register_parameter(attribute, torch.nn.Parameter(tensor))
        else:
            self.root.register_buffer(attribute, tensor)

    def _input_shape(self, name: str) -> tuple[int, ...]:
        place = f"{self.path}: input {name}"
        meta = mapping(self.meta.get(name), place)
        if meta.get("dtype") not in (7, 8):
            raise PiennError(f"{place} is not float32")
        sizes = sequence(meta.get("sizes"), place)
        if not sizes:
            raise PiennError(f"{place} is a scalar; a batch axis is needed")
        shape = []
        for axis, size in enumerate(sizes):
            number = mapping(size, place).get("as_int")
            if axis == 0:
                if number not in (None, 1):
                    raise PiennError(
                        f"{place} has batch {number}; export with batch 1 or with a dynamic batch axis"
                    )
            elif not isinstance(number, int) or not 0 < number < 1 << 24:
                raise PiennError(
                    f"{place}: axis {axis} has no fixed size; only the batch axis may be dynamic"
                )
            else:
                shape.append(number)
        return tuple(shape)

    def _layer(self, node: Mapping[str, Any]) -> str:
        metadata = node.get("metadata")
        stack = metadata.get("nn_module_stack", "") if isinstance(metadata, dict) else ""
        fields = str(stack).rsplit(";", 1)[-1].split(",")
        path = fields[1] if len(fields) > 1 else ""
        return path if _ATTRIBUTE.fullmatch(path) else ""

    def _target(self, name: Any, layer: str, node: Mapping[str, Any]) -> Any:
        if isinstance(name, str) and name in _INTEGER_OPERATORS:
            return _INTEGER_OPERATORS[name]
        match = _TARGET.fullmatch(name) if isinstance(name, str) else None
        short = ".".join(match.groups()) if match else str(name)[:80]
        known = short in HANDLERS or short in _PREPARATIONS or short in _QUANTISATION
        if not match or not known:
            raise self.fail(f"{layer or 'top level'}: operator {short!r}{self._shape(node)} is not supported")
        self.quantised |= match.group(1) == "quantized_decomposed"
        packet = getattr(getattr(torch.ops, match.group(1)), match.group(2), None)
        target = getattr(packet, match.group(3), None)
        if target is None:
            raise self.fail(
                f"{layer or 'top level'}: operator {short!r} is unknown to torch {torch.__version__}"
            )
        return target

    def _shape(self, node: Mapping[str, Any]) -> str:
        try:
            sizes = self.meta[node["outputs"][0]["as_tensor"]["name"]]["sizes"]
            return " with result shape (" + ", ".join(str(s.get("as_int", "batch")) for s in sizes)[:80] + ")"
        except (KeyError, IndexError, TypeError, AttributeError):
            return ""

    def _node(self, node: Mapping[str, Any]) -> None:
        layer = self._layer(node)
        target = self._target(node.get("target"), layer, node)
        place = f"{self.path}: {layer or node.get('target')}"
        args, kwargs = [], {}
        for entry in sequence(node.get("inputs"), place):
            argument = mapping(entry, place)
            value = self._argument(mapping(argument.get("arg"), place), place)
            if argument.get("kind") == 2:
                kwargs[self._identifier(argument.get("name"))] = value
            else:
                args.append(value)
        outputs = sequence(node.get("outputs"), place)
        if len(outputs) != 1:
            raise PiennError(f"{place}: an operator with {len(outputs)} results is not supported")
        result = mapping(outputs[0], place)
        kind = next(iter(result), "")
        if kind == "as_tensors":
            several = self._create(target, args, kwargs, None, layer)
            for position, item in enumerate(sequence(result[kind], place)):
                name = self._identifier(mapping(item, place).get("name"))
                self._define(
                    name, self._create(operator.getitem, [several, position], {}, name, layer), place
                )
            return
        names = {"as_tensor": "name", "as_sym_int": "as_name"}
        if kind not in names:
            raise PiennError(f"{place}: a result of kind {str(kind)[:40]!r} is not supported")
        name = self._identifier(mapping(result[kind], place).get(names[kind]))
        self._define(name, self._create(target, args, kwargs, name, layer), place)

    def _define(self, name: str, node: Node, place: str) -> None:
        if name in self.values:
            raise PiennError(f"{place}: the name {name} is given twice")
        self.values[name] = node

    def _create(
        self, target: Any, args: list[Any], kwargs: dict[str, Any], name: str | None, layer: str
    ) -> Node:
        node = self.graph.create_node("call_function", target, tuple(args), kwargs, name=name)
        node.meta["nn_module_stack"] = {layer or "root": (layer, "torch.nn.Module")}
        return node

    def _reference(self, value: Any, key: str, place: str) -> Node:
        name = self._identifier(mapping(value, place).get(key))
        if name not in self.values:
            raise PiennError(f"{place}: {name} is used before it is defined")
        return self.values[name]

    def _argument(self, argument: Mapping[str, Any], place: str) -> Any:
        kind = next(iter(argument), "")
        value = argument.get(kind)
        if kind == "as_none":
            return None
        if kind == "as_tensor":
            return self._reference(value, "name", place)
        if kind in ("as_tensors", "as_optional_tensors", "as_sym_ints", "as_ints", "as_floats", "as_bools"):
            single = {"as_optional_tensors": "", "as_tensors": "as_tensor"}.get(kind, kind[:-1])
            items = sequence(value, place)
            return [self._argument(mapping(v, place) if not single else {single: v}, place) for v in items]
        if kind == "as_sym_int":
            content = mapping(value, place)
            return (
                content["as_int"]
                if self._integer(content.get("as_int"))
                else self._reference(content, "as_name", place)
            )
        if kind == "as_int" and self._integer(value):
            return value
        if kind == "as_float" and isinstance(value, (int, float)):
            return float(value)
        if kind == "as_bool" and isinstance(value, bool):
            return value
        if kind == "as_string" and isinstance(value, str) and _IDENTIFIER.fullmatch(value):
            return value
        if kind == "as_scalar_type" and value in _SCALAR_TYPES:
            return _SCALAR_TYPES[value]
        if kind == "as_memory_format" and value in _MEMORY_FORMATS:
            return _MEMORY_FORMATS[value]
        if kind == "as_device":
            return torch.device("cpu")
        if kind == "as_layout":
            return torch.strided
        raise PiennError(f"{place}: an argument {str(kind)[:40]!r} that is not supported")

    @staticmethod
    def _integer(value: Any) -> bool:
        return (isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_INTEGER) or (
            value == (1 << 63) - 1
        )

    def _outputs(self, specs: list[Any]) -> None:
        results = []
        for entry in specs:
            spec = mapping(entry, f"{self.path}: output")
            content = spec.get("user_output")
            argument = content.get("arg") if isinstance(content, dict) else None
            if not isinstance(argument, dict) or "as_tensor" not in argument:
                kind = next(iter(spec), "")
                raise self.fail(f"an output of kind {str(kind)[:40]!r}; only tensors are given")
            results.append(self._reference(argument["as_tensor"], "name", f"{self.path}: output"))
        if not results:
            raise self.fail("the program has no output")
        self.graph.output(results[0] if len(results) == 1 else tuple(results))
