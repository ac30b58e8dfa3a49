"""What the command line's model options name, as a quantised model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pienn.errors import PiennError
from pienn.frontend import checkpoint, pt2
from pienn.frontend.calibration import check_shapes, random_inputs, read_inputs
from pienn.frontend.capture import freeze
from pienn.frontend.model import QuantizedModel, identifier, quantize
from pienn.frontend.recipe import Progress, no_progress


def load_quantized(
    model: Path | None,
    factory: str | None,
    weight_file: Path | None,
    calibration: Path | None,
    random: int | None,
    seed: int = 0,
    input_shapes: Sequence[Sequence[int]] = (),
    progress: Progress = no_progress,
    **options: object,
) -> QuantizedModel:
    """A quantised model from a `.pt2` file, or from a factory with optional weights.

    `model` is a `.pt2` file, or, with a factory, a state dict (then `weight_file` is None). A float model needs
    `calibration` (an `.npz`, see `calibration.read_inputs`) or `random` inputs. `input_shapes` (without batch axis)
    are what the caller believes of the inputs; the model's own must be equal. Raises `PiennError`.
    """
    if factory is None and model is not None and model.suffix == ".pt2":
        if weight_file is not None:
            raise PiennError(f"--weights {weight_file}: {model} holds its own weights")
        return _from_pt2(model, calibration, random, seed, input_shapes, progress, options)
    if factory is None:
        assert model is not None
        _refuse_without_factory(model)
    assert factory is not None
    if model is not None and weight_file is not None:
        raise PiennError(f"{model} and --weights {weight_file}: name the weights once")
    source = checkpoint.load_factory(factory)
    if (weight_file or model) is not None:
        checkpoint.load_weights(source.module, weight_file or model)  # type: ignore[arg-type]
    place = f"--factory {factory}"
    shapes = _agreed(source.shapes, input_shapes, place)
    inputs = _inputs(shapes, calibration, random, seed, place)
    name = identifier((weight_file or model).stem if weight_file or model else factory.rpartition(":")[2])  # type: ignore[union-attr]
    return quantize(source.module, inputs, name=name, progress=progress, **options)  # type: ignore[arg-type]


def _refuse_without_factory(model: Path) -> None:
    if not model.exists():
        raise PiennError(f"{model}: no such file")
    if model.suffix in (".pt", ".pth", ".bin"):
        checkpoint.read_state_dict(model)
    elif model.suffix != ".safetensors":
        raise PiennError(f"{model}: not a .pie, .pt2, .pt or .safetensors file")
    raise PiennError(
        f"{model}: holds weights only; name the code that builds the module with --factory module:function"
    )


def _agreed(
    own: Sequence[Sequence[int]] | None, asked: Sequence[Sequence[int]], place: str
) -> Sequence[Sequence[int]] | None:
    """The shapes of the inputs: the model's own, which must be those asked for, if any are."""
    if own is None:
        return asked or None
    if asked and [tuple(shape) for shape in own] != [tuple(shape) for shape in asked]:
        takes, wanted = (" ".join("x".join(map(str, shape)) for shape in shapes) for shapes in (own, asked))
        raise PiennError(f"{place}: takes {takes}, but the input shape asked for is {wanted}")
    return own


def _inputs(
    shapes: Sequence[Sequence[int]] | None,
    calibration: Path | None,
    random: int | None,
    seed: int,
    place: str,
) -> tuple[torch.Tensor, ...]:
    if calibration is not None:
        names = [f"input{i}" for i in range(len(shapes) if shapes else 1)]
        tensors = read_inputs(calibration, names)
        if shapes is not None:
            check_shapes(tensors, shapes, str(calibration))
        return tensors
    if random is None:
        raise PiennError(
            f"{place}: a float model needs inputs to calibrate with: --calibration X.npz or --random N"
        )
    if shapes is None:
        raise PiennError(
            f"{place}: --random needs the input shape: name it with --input-shape, or let the factory "
            "return (module, shape)"
        )
    return random_inputs(shapes, random, seed)


def _from_pt2(
    path: Path,
    calibration: Path | None,
    random: int | None,
    seed: int,
    input_shapes: Sequence[Sequence[int]],
    progress: Progress,
    options: dict[str, object],
) -> QuantizedModel:
    program = pt2.load(path)
    _agreed(program.shapes, input_shapes, str(path))
    if program.quantised:
        example = tuple(torch.zeros(1, *shape) for shape in program.shapes)
        return QuantizedModel(freeze(program.module, example), None, None, identifier(path.stem))
    if calibration is not None:
        inputs = read_inputs(calibration, program.names)
        check_shapes(inputs, program.shapes, str(calibration))
    else:
        inputs = _inputs(program.shapes, None, random, seed, str(path))
    return quantize(program.module, inputs, name=identifier(path.stem), progress=progress, **options)  # type: ignore[arg-type]
