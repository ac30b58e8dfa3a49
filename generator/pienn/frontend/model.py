"""`pienn.quantize` and `pienn.export`: from a torch module to a graph file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from pienn.errors import PiennError
from pienn.frontend.archive import check_finite
from pienn.frontend.calibration import Batches, as_tensor, batches
from pienn.frontend.capture import capture, freeze
from pienn.frontend.pt2e import convert_pt2e, prepare_pt2e
from pienn.frontend.quantizer import WEIGHTED, Pow2Quantizer, layer_name, operator_name
from pienn.frontend.recipe import Outcome, Progress, Tuner, no_progress

if TYPE_CHECKING:
    from pienn.frontend.lowering import Lowered

LARGEST_ACTIVATION = 1 << 28
"""Elements of one tensor without batch axis; more is a mistake, or an attack."""


@dataclass
class QuantizedModel:
    """An int8 network.

    program: PT2E-converted `torch.export.ExportedProgram`, batch 1, q/dq nodes with power-of-two scales;
    float_module: the module it was made from, None where a quantised program was read;
    outcome: the recipe and what it reached on the calibration inputs, None likewise.
    """

    program: torch.export.ExportedProgram
    float_module: nn.Module | None
    outcome: Outcome | None
    name: str = "model"

    @property
    def output_sqnr(self) -> float | None:
        """SQNR at the output over the calibration inputs in dB, float against int8."""
        return None if self.outcome is None else self.outcome.output_sqnr

    @property
    def layer_sqnr(self) -> dict[str, float]:
        """The same of every quantised activation, by module path."""
        return {} if self.outcome is None else self.outcome.layer_sqnr

    def to_json(self) -> dict[str, Any]:
        """Recipe and SQNRs for machines; every entry is None or empty where a quantised program was read."""
        if self.outcome is None:
            return {
                "recipe": None,
                "recipe_text": None,
                "output_sqnr_db": None,
                "layer_sqnr_db": {},
                "tried": [],
            }
        return {"recipe_text": str(self.outcome.recipe), **rounded(self.outcome.to_json())}

    @cached_property
    def lowered(self) -> Lowered:
        """The bit-exact oracle and the graph."""
        from pienn.frontend.lowering import lower

        lowered = lower(self.program, self.name)
        if self.outcome is not None:
            lowered.graph.meta["accuracy"] = rounded(self.outcome.to_json())
        return lowered

    def __call__(self, *inputs: Any) -> Tensor | tuple[Tensor, ...]:
        """Float inputs with batch axis through the integer network; float32 outputs, exact to the bit."""
        oracle = self.lowered.oracle
        tensors = [
            as_tensor(x, f"input {i}") if not _is_int8(x) else torch.as_tensor(x)
            for i, x in enumerate(inputs)
        ]
        stored = oracle(*tensors)
        outputs = tuple(
            torch.ldexp(values.double() - encoding.zero_point, torch.tensor(encoding.exponent)).float()
            for values, encoding in zip(stored, self.output_encodings)
        )
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def output_encodings(self) -> list[Any]:
        """(exponent, zero_point) of every output, in order."""
        return [tensor.encoding for _, tensor in self.lowered.program.outputs]


def _is_int8(x: Any) -> bool:
    return getattr(x, "dtype", None) in (torch.int8, np.dtype("int8"))


def rounded(value: Any) -> Any:
    """The same with finite floats of 4 digits behind the point, so that JSON can hold it on every machine."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def prepare(module: nn.Module, found: Batches, concat: str = "shared") -> GraphModule:
    """The captured, batch-norm-free graph of an eval-mode module with observers in it; the module stays as it is."""
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            check_finite(tensor, f"weight {name}")
    graph = capture(module, tuple(part[:1] for part in found[0]))
    _own_weights(graph)
    _check_sizes(graph)
    return prepare_pt2e(graph, Pow2Quantizer(concat))


def _own_weights(graph: GraphModule) -> None:
    """Weights and biases of convolutions and linears as parameters of the graph alone.

    Copies, so that bias correction and training do not reach the user's module; and a bias of zeros where
    there is none, for bias correction to fill.
    """
    for owner in graph.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            setattr(owner, name, nn.Parameter(parameter.detach().clone(), parameter.requires_grad))
    for node in list(graph.graph.nodes):
        if operator_name(node) not in WEIGHTED:
            continue
        for operand in node.args[1:3]:
            if isinstance(operand, Node) and operand.op == "get_attr":
                _make_parameter(graph, str(operand.target))
        if len(node.args) < 3 or node.args[2] is None:
            weight = node.args[1].meta["val"]
            channels = node.meta["val"].shape[-1 if operator_name(node) == "linear" else 1]
            name = f"{node.name}_bias"
            graph.register_parameter(name, nn.Parameter(torch.zeros(int(channels), dtype=weight.dtype)))
            with graph.graph.inserting_before(node):
                bias = graph.graph.get_attr(name)
            bias.meta["val"] = weight.new_empty((int(channels),))
            node.args = (*node.args[:2], bias, *node.args[3:])
    graph.recompile()


def _make_parameter(graph: GraphModule, path: str) -> None:
    folder, _, name = path.rpartition(".")
    owner = graph.get_submodule(folder)
    value = getattr(owner, name)
    if not isinstance(value, nn.Parameter):
        delattr(owner, name)
        owner.register_parameter(name, nn.Parameter(value.detach().clone()))


def _check_sizes(graph: GraphModule) -> None:
    for node in graph.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and math.prod(int(s) for s in value.shape[1:]) > LARGEST_ACTIVATION:
            shape = ", ".join(str(s) for s in value.shape[1:])
            raise PiennError(f"{layer_name(node)}: a tensor of shape ({shape}) has more than 2^28 elements")


def finish(prepared: GraphModule, example: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """The q/dq program, batch 1, of a graph whose observers hold their final encodings."""
    return freeze(convert_pt2e(prepared), tuple(part[:1] for part in example))


def quantize(
    module: nn.Module,
    calibration: Any,
    *,
    ranges: str | None = None,
    eighth_bit: bool | None = None,
    weights: str | None = None,
    weight_rule: str | None = None,
    equalise: bool | None = None,
    bias_correction: bool | None = None,
    refine: bool | None = None,
    concat: str = "shared",
    name: str = "model",
    progress: Progress = no_progress,
) -> QuantizedModel:
    """Quantise an eval-mode module to int8 with power-of-two exponents, on calibration inputs.

    `calibration`: float32 tensor or array `[N, ...]` in the module's own layout, a tuple of them for several
    inputs, or an iterable of such batches; 32 to 256 inputs are usual. Options that are None are chosen by
    SQNR at the output over the calibration inputs; see `Recipe` for their values. Raises `PiennError`.
    """
    if not isinstance(module, nn.Module):
        raise PiennError(f"quantize takes a torch.nn.Module, not {type(module).__name__}")
    if module.training:
        raise PiennError("the module is in training mode; call module.eval() before quantize")
    found = batches(calibration, module)
    prepared = prepare(module, found, concat)
    options = {
        "ranges": ranges, "eighth_bit": eighth_bit, "weights": weights, "weight_rule": weight_rule,
        "equalise": equalise, "bias_correction": bias_correction, "refine": refine,
    }  # fmt: skip
    tuner = Tuner(prepared, found, progress)
    outcome = tuner.tune({key: value for key, value in options.items() if value is not None})
    return QuantizedModel(finish(prepared, found[0]), module, outcome, identifier(name))


def identifier(name: str) -> str:
    """The name as a C identifier in lower case."""
    cleaned = re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_").lower()[:60]
    return cleaned if cleaned and not cleaned[0].isdigit() else f"model_{cleaned}".rstrip("_")


def export(
    model: QuantizedModel | nn.Module | torch.export.ExportedProgram,
    example: Any,
    path: str | os.PathLike[str],
    *,
    calibration: Any = None,
    **options: Any,
) -> QuantizedModel:
    """Write a model to a `.pie` file, and return the quantised model that it holds.

    `model` is a `QuantizedModel`, a PT2E-converted module or exported program with q/dq nodes, or a float
    module, which needs `calibration` and takes the options of `quantize`. `example` is a tensor or a tuple
    of tensors with batch axis (None for a `QuantizedModel`). The file appears whole or not at all.
    """
    from pienn.ir import file

    target = Path(path)
    name = identifier(str(options.pop("name", target.stem)))
    quantised = _quantised(model, example, calibration, name, options)
    quantised.name = name
    quantised.__dict__.pop("lowered", None)
    file.write(quantised.lowered.graph, target)
    return quantised


def _quantised(
    model: Any, example: Any, calibration: Any, name: str, options: dict[str, Any]
) -> QuantizedModel:
    if isinstance(model, QuantizedModel):
        return model
    if isinstance(model, torch.export.ExportedProgram):
        return QuantizedModel(model, None, None, name)
    if isinstance(model, GraphModule) and has_quantisation(model):
        examples = example if isinstance(example, tuple) else (example,)
        program = freeze(model, tuple(as_tensor(x, "example")[:1] for x in examples))
        return QuantizedModel(program, None, None, name)
    if calibration is None:
        raise PiennError(
            "a float module needs calibration inputs: export(module, example, path, calibration=inputs)"
        )
    return quantize(model, calibration, name=name, **options)


def has_quantisation(graph: GraphModule) -> bool:
    """Whether the graph contains quantise nodes."""
    return any("quantized_decomposed.quantize" in str(node.target) for node in graph.graph.nodes)
