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
    weights: Path | None,
    calibration: Path | None,
    random: int | None,
    seed: int = 0,
    progress: Progress = no_progress,
    **options: object,
) -> QuantizedModel:
    """A quantised model from a `.pt2` file, or from a factory with optional weights.

    `model` is a `.pt2` file, or, with a factory, a state dict (then `weights` is None). A float model needs
    `calibration` (an `.npz`, see `calibration.read_inputs`) or `random` inputs. Raises `PiennError`.
    """
    if factory is None and model is not None and model.suffix == ".pt2":
        if weights is not None:
            raise PiennError(f"--weights {weights}: {model} holds its own weights")
        return _from_pt2(model, calibration, random, seed, progress, options)
    if factory is None:
        assert model is not None
        _refuse_without_factory(model)
    assert factory is not None
    if model is not None and weights is not None:
        raise PiennError(f"{model} and --weights {weights}: name the weights once")
    source = checkpoint.load_factory(factory)
    if (weights or model) is not None:
        checkpoint.load_weights(source.module, weights or model)  # type: ignore[arg-type]
    place = f"--factory {factory}"
    inputs = _inputs(source.shapes, calibration, random, seed, place)
    name = identifier((weights or model).stem if weights or model else factory.rpartition(":")[2])  # type: ignore[union-attr]
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
        raise PiennError(f"{place}: --random needs the input shape; let the factory return (module, shape)")
    return random_inputs(shapes, random, seed)


def _from_pt2(
    path: Path,
    calibration: Path | None,
    random: int | None,
    seed: int,
    progress: Progress,
    options: dict[str, object],
) -> QuantizedModel:
    program = pt2.load(path)
    if program.quantised:
        example = tuple(torch.zeros(1, *shape) for shape in program.shapes)
        return QuantizedModel(freeze(program.module, example), None, None, identifier(path.stem))
    if calibration is not None:
        inputs = read_inputs(calibration, program.names)
        check_shapes(inputs, program.shapes, str(calibration))
    else:
        inputs = _inputs(program.shapes, None, random, seed, str(path))
    return quantize(program.module, inputs, name=identifier(path.stem), progress=progress, **options)  # type: ignore[arg-type]
