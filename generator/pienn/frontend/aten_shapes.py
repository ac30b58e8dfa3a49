"""ATen operators that move elements and compute nothing: they keep the encoding of their operand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import Node

from pienn.frontend import decisions
from pienn.frontend.operators import Concat, Encoding, Pad, Permute, Reshape, Shape, Slice, Tensor
from pienn.frontend.reading import Pending, Reader, Value, reads


@reads(
    "aten.dropout.default",
    "aten.feature_dropout.default",
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.lift_fresh_copy.default",
    "aten._to_copy.default",
    "aten.to.dtype",
    "aten.to.dtype_layout",
    "aten.identity.default",
    "aten.expand.default",
)
def _nothing(reader: Reader, node: Node, **arguments: Any) -> Value:
    x = arguments.get("x", arguments.get("input"))
    if arguments.get("train"):
        raise reader.error(node, "the module is in training mode: call .eval() before export")
    if isinstance(x, (Tensor, Pending)) and x.shape != reader.shape(node):
        raise reader.error(node, f"repeating {list(x.shape)} is not supported: let arithmetic broadcast it")
    if "dtype" in arguments and arguments["dtype"] is not None and not arguments["dtype"].is_floating_point:
        raise reader.error(node, f"a conversion to {arguments['dtype']} is not supported")
    return x


@reads(
    "aten.view.default",
    "aten._unsafe_view.default",
    "aten.reshape.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
)
def _reshape(reader: Reader, node: Node, *, x: Value, **_: Any) -> Value:
    shape = reader.shape(node)
    return reader.moved(
        x, shape, lambda tensor, low, high: reshaped(reader, reader.layer(node), tensor, shape)
    )


def reshaped(reader: Reader, layer: str, x: Tensor, shape: Shape) -> Tensor:
    """The same elements in another shape."""
    if x.shape == shape:
        return x
    return reader.emit(Reshape(result=Tensor(reader.unique(layer), shape, x.encoding), x=x))


def permuted(reader: Reader, node: Node, x: Value, order: Shape) -> Value:
    """Axes (batch not counted) in another order."""
    layer, shape = reader.layer(node), reader.shape(node)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        if order == tuple(range(len(order))):
            return tensor
        return reader.emit(
            Permute(result=Tensor(reader.unique(layer), shape, tensor.encoding), x=tensor, order=order)
        )

    return reader.moved(x, shape, move)


@reads("aten.permute.default")
def _permute(reader: Reader, node: Node, *, x: Value, dims: Sequence[int]) -> Value:
    rank = len(dims)
    if dims[0] % rank != 0:
        raise reader.error(node, "operators may not move the batch axis")
    return permuted(reader, node, x, tuple(reader.axis(node, axis, rank) for axis in dims[1:]))


@reads("aten.transpose.int", "aten.swapaxes.default")
def _transpose(reader: Reader, node: Node, **arguments: Any) -> Value:
    rank = len(reader.shape(node)) + 1
    first, second = (
        arguments[name] for name in (("dim0", "dim1") if "dim0" in arguments else ("axis0", "axis1"))
    )
    order = list(range(rank - 1))
    one, other = reader.axis(node, first, rank), reader.axis(node, second, rank)
    order[one], order[other] = order[other], order[one]
    return permuted(reader, node, arguments["x"], tuple(order))


@reads("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int")
def _movedim(reader: Reader, node: Node, *, x: Value, source: Any, destination: Any) -> Value:
    rank = len(reader.shape(node)) + 1
    sources = [source] if isinstance(source, int) else list(source)
    places = [destination] if isinstance(destination, int) else list(destination)
    moves = {reader.axis(node, to, rank): reader.axis(node, at, rank) for at, to in zip(sources, places)}
    rest = iter([axis for axis in range(rank - 1) if axis not in moves.values()])
    return permuted(
        reader, node, x, tuple(moves[axis] if axis in moves else next(rest) for axis in range(rank - 1))
    )


@reads("aten.pixel_shuffle.default", "aten.pixel_unshuffle.default", "aten.channel_shuffle.default")
def _shuffle(reader: Reader, node: Node, *, x: Value, **sizes: int) -> Value:
    """Reshape, permute, reshape; the tensors in between need no memory of their own."""
    assert isinstance(x, (Tensor, Pending))
    shape, layer = reader.shape(node), reader.layer(node)
    if "groups" in sizes:
        channels, height, width = x.shape
        split: Shape = (sizes["groups"], channels // sizes["groups"], height, width)
        order: Shape = (1, 0, 2, 3)
    elif "upscale_factor" in sizes:
        factor, (channels, height, width) = sizes["upscale_factor"], shape
        split = (channels, factor, factor, height // factor, width // factor)
        order = (0, 3, 1, 4, 2)
    else:
        factor, (channels, height, width) = sizes["downscale_factor"], x.shape
        split = (channels, height // factor, factor, width // factor, factor)
        order = (0, 2, 4, 1, 3)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        parts = reshaped(reader, f"{layer}.split", tensor, split)
        turned = Tensor(
            reader.unique(f"{layer}.permute"), tuple(split[axis] for axis in order), tensor.encoding
        )
        reader.emit(Permute(result=turned, x=parts, order=order))
        return reshaped(reader, layer, turned, shape)

    return reader.moved(x, shape, move)


def sliced(reader: Reader, layer: str, x: Tensor, axis: int, start: int, stop: int, step: int) -> Tensor:
    """Part of an axis; the bounds lie inside it."""
    size = len(range(start, stop, step))
    if size == x.shape[axis]:
        return x
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    result = Tensor(reader.unique(layer), shape, x.encoding)
    return reader.emit(Slice(result=result, x=x, axis=axis, start=start, stop=stop, step=step))


@reads("aten.slice.Tensor")
def _slice(
    reader: Reader, node: Node, *, x: Value, dim: int, start: int | None, end: int | None, step: int
) -> Value:
    assert isinstance(x, (Tensor, Pending))
    if dim % (len(x.shape) + 1) == 0 and not start and (end is None or end > 1 << 40) and step == 1:
        return x
    axis = reader.axis(node, dim, len(x.shape) + 1)
    first, stop, stride = slice(start, end, step).indices(x.shape[axis])
    layer = reader.layer(node)
    return reader.moved(
        x,
        reader.shape(node),
        lambda tensor, low, high: sliced(reader, layer, tensor, axis, first, stop, stride),
    )


@reads("aten.narrow.int", "aten.narrow.default")
def _narrow(reader: Reader, node: Node, *, x: Value, dim: int, start: int, length: int) -> Value:
    return _slice(
        reader, node, x=x, dim=dim, start=start, end=start + length if start + length else None, step=1
    )


@reads("aten.select.int")
def _select(reader: Reader, node: Node, *, x: Value, dim: int, index: int) -> Value:
    return _picked(reader, node, x, dim, index, reader.shape(node))


def _picked(reader: Reader, node: Node, x: Value, dim: int, index: int, shape: Shape) -> Value:
    assert isinstance(x, (Tensor, Pending))
    axis = reader.axis(node, dim, len(x.shape) + 1)
    first = index % x.shape[axis]
    layer = reader.layer(node)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        part = sliced(reader, layer, tensor, axis, first, first + 1, 1)
        return reshaped(reader, f"{layer}.reshape", part, shape)

    return reader.moved(x, shape, move)


@reads("aten.unbind.int")
def _unbind(reader: Reader, node: Node, *, x: Value, dim: int) -> Value:
    assert isinstance(x, (Tensor, Pending))
    axis = reader.axis(node, dim, len(x.shape) + 1)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return tuple(_picked(reader, node, x, dim, index, shape) for index in range(x.shape[axis]))


@reads(
    "aten.split.Tensor",
    "aten.split_with_sizes.default",
    "aten.split.sizes",
    "aten.chunk.default",
    "aten.tensor_split.sections",
    "aten.tensor_split.indices",
)
def _split(reader: Reader, node: Node, *, x: Value, dim: int, **_: Any) -> Value:
    assert isinstance(x, (Tensor, Pending))
    axis = reader.axis(node, dim, len(x.shape) + 1)
    layer = reader.layer(node)

    def part(first: int, stop: int) -> Callable[[Tensor, float, float], Tensor]:
        return lambda tensor, low, high: sliced(reader, layer, tensor, axis, first, stop, 1)

    parts: list[Value] = []
    first = 0
    for meta in node.meta["val"]:
        size = int(meta.shape[axis + 1])
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        parts.append(reader.moved(x, shape, part(first, first + size)))
        first += size
    return tuple(parts)


@reads("aten.cat.default", "aten.concat.default")
def _concat(reader: Reader, node: Node, *, tensors: Sequence[Value], dim: int) -> Value:
    shape, layer = reader.shape(node), reader.layer(node)
    axis = reader.axis(node, dim, len(shape) + 1)
    values: list[Value] = []
    for position, value in enumerate(tensors):
        ready = isinstance(value, (Tensor, Pending))
        values.append(value if ready else reader.activation(node, value, f"operand{position}"))
    return _joined(reader, values, shape, axis, layer)


@reads("aten.stack.default")
def _stack(reader: Reader, node: Node, *, tensors: Sequence[Value], dim: int) -> Value:
    shape, layer = reader.shape(node), reader.layer(node)
    axis = reader.axis(node, dim, len(shape) + 1)
    single = (*shape[:axis], 1, *shape[axis + 1 :])

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        return reshaped(reader, f"{layer}.reshape", tensor, single)

    return _joined(reader, [reader.moved(value, single, move) for value in tensors], shape, axis, layer)


def _joined(reader: Reader, values: Sequence[Value], shape: Shape, axis: int, layer: str) -> Pending:
    encodings = [_natural(value) for value in values]
    common = encodings[0] if len(set(encodings)) == 1 else None

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        tensors = reader.equal_encodings(values, encoding, low, high, layer)
        result = Tensor(reader.unique(layer), shape, tensors[0].encoding)
        return reader.emit(Concat(result=result, xs=tuple(tensors), axis=axis))

    return Pending(settle, shape, natural=common)


def _natural(value: Value) -> Encoding | None:
    return (
        value.encoding if isinstance(value, Tensor) else value.natural if isinstance(value, Pending) else None
    )


@reads("aten.pad.default", "aten.constant_pad_nd.default")
def _pad(
    reader: Reader,
    node: Node,
    *,
    x: Value,
    pad: Sequence[int],
    value: float | None = None,
    mode: str = "constant",
) -> Value:
    if mode != "constant":
        raise reader.error(node, f"padding mode {mode!r} is not supported: only constant padding is")
    assert isinstance(x, (Tensor, Pending))
    rank = len(x.shape)
    if len(pad) > 2 * rank and any(pad[2 * rank :]):
        raise reader.error(node, "operators may not work along the batch axis")
    pairs = [(pad[2 * i], pad[2 * i + 1]) if 2 * i < len(pad) else (0, 0) for i in range(rank)][::-1]
    real = 0.0 if value is None else float(value)
    if math.isnan(real):
        raise reader.error(node, "padding with NaN is not supported")
    layer, shape = reader.layer(node), reader.shape(node)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        for axis, (before, after) in enumerate(pairs):
            tensor = sliced(
                reader, f"{layer}.crop", tensor, axis, max(-before, 0), tensor.shape[axis] - max(-after, 0), 1
            )
        if tensor.shape == shape:
            return tensor
        return reader.emit(
            Pad(
                result=Tensor(reader.unique(layer), shape, tensor.encoding),
                x=tensor,
                low=tuple(max(before, 0) for before, _ in pairs),
                high=tuple(max(after, 0) for _, after in pairs),
                value=decisions.stored(min(max(real, low), high), tensor.encoding),
            )
        )

    return reader.moved(x, shape, move)
