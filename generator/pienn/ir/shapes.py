"""Result shapes of the operations, as in PyTorch but without batch axis (docs/SPEC.md, section 3).

Plain functions on tuples of integers; a shape that cannot be raises ValueError with a one-line reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def window_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """Number of windows along one axis, 0 or less where not even one fits."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def pool_size(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool
) -> int:
    """As `window_size`; with `ceil_mode` a last window may hang over if it starts in x or the left padding."""
    count = window_size(size, kernel, stride, before, after + (stride - 1 if ceil_mode else 0), dilation)
    return count - 1 if ceil_mode and (count - 1) * stride >= size + before else count


def conv2d(
    x: Shape,
    weight: Shape,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Shape:
    """x [H, W, I], weight [O, kh, kw, I/groups]."""
    height, width, _ = _image(x)
    outputs, kernel_height, kernel_width = _weight(x, weight, groups)
    return _positive(
        window_size(height, kernel_height, strides[0], padding[0], padding[2], dilation[0]),
        window_size(width, kernel_width, strides[1], padding[1], padding[3], dilation[1]),
        outputs,
    )


def conv_transpose2d(
    x: Shape,
    weight: Shape,
    strides: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Shape:
    """x [H, W, I], weight [O, kh, kw, I/groups]."""
    height, width, _ = _image(x)
    outputs, kernel_height, kernel_width = _weight(x, weight, groups)
    top, left, bottom, right = padding
    return _positive(
        (height - 1) * strides[0] - top - bottom + dilation[0] * (kernel_height - 1) + output_padding[0] + 1,
        (width - 1) * strides[1] - left - right + dilation[1] * (kernel_width - 1) + output_padding[1] + 1,
        outputs,
    )


def fully_connected(x: Shape, weight: Shape) -> Shape:
    """x [..., K], weight [N, K]."""
    if len(x) < 1 or len(weight) != 2 or x[-1] != weight[1]:
        raise ValueError(f"weight {_show(weight)} does not fit the last axis of x {_show(x)}")
    return (*x[:-1], weight[0])


def matmul(a: Shape, b: Shape, transpose_b: bool) -> Shape:
    """a [..., M, K], b [..., K, N], or [..., N, K] with `transpose_b`."""
    if len(a) < 2 or len(a) != len(b) or a[:-2] != b[:-2] or a[-1] != b[-1 if transpose_b else -2]:
        raise ValueError(f"{_show(a)} and {_show(b)} cannot be multiplied")
    return (*a[:-1], b[-2 if transpose_b else -1])


def broadcast(a: Shape, b: Shape) -> Shape:
    """The common shape, as in numpy."""
    rank = max(len(a), len(b))
    pairs = list(zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b))
    if any(p != q and 1 not in (p, q) for p, q in pairs):
        raise ValueError(f"{_show(a)} and {_show(b)} do not broadcast")
    return tuple(max(pair) for pair in pairs)


def pool2d(
    x: Shape,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Shape:
    """x [H, W, C]."""
    height, width, channels = _image(x)
    return _positive(
        pool_size(height, kernel[0], strides[0], padding[0], padding[2], dilation[0], ceil_mode),
        pool_size(width, kernel[1], strides[1], padding[1], padding[3], dilation[1], ceil_mode),
        channels,
    )


def mean(x: Shape, first_axis: int, last_axis: int, keep: bool) -> Shape:
    """The axes first..last become 1, or vanish."""
    if not 0 <= first_axis <= last_axis < len(x):
        raise ValueError(f"axes {first_axis}..{last_axis} are not axes of {_show(x)}")
    ones = (1,) * (last_axis - first_axis + 1) if keep else ()
    return (*x[:first_axis], *ones, *x[last_axis + 1 :])


def resize(x: Shape, size: Sequence[int]) -> Shape:
    """x [H, W, C]; `size` is the new height and width."""
    return _positive(*size, _image(x)[2])


def concat(shapes: Sequence[Shape], axis: int) -> Shape:
    """Operands that differ in `axis` alone."""
    if not shapes or not 0 <= axis < len(shapes[0]):
        raise ValueError(f"axis {axis} is not an axis of the operands")
    first = shapes[0]
    for shape in shapes:
        if len(shape) != len(first) or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ValueError(f"{_show(first)} and {_show(shape)} cannot be joined along axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def slice_(x: Shape, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Shape:
    """`sizes` elements of each axis, from `offsets` on in steps of `strides`."""
    if not len(x) == len(offsets) == len(sizes) == len(strides):
        raise ValueError(f"offsets, sizes and strides need one entry per axis of {_show(x)}")
    for length, offset, size, stride in zip(x, offsets, sizes, strides):
        if offset < 0 or size < 1 or stride < 1 or offset + (size - 1) * stride >= length:
            raise ValueError(f"the slice leaves x {_show(x)}")
    return tuple(sizes)


def pad(x: Shape, low: Sequence[int], high: Sequence[int]) -> Shape:
    """`low` elements before and `high` after each axis."""
    if not len(x) == len(low) == len(high) or min((*low, *high), default=0) < 0:
        raise ValueError(f"low and high need one entry per axis of {_show(x)}, none negative")
    return tuple(before + length + after for length, before, after in zip(x, low, high))


def reshape(x: Shape, shape: Sequence[int]) -> Shape:
    """As many elements in another shape."""
    if math.prod(x) != math.prod(shape):
        raise ValueError(f"{_show(x)} and {_show(shape)} differ in the number of elements")
    return tuple(shape)


def transpose(x: Shape, permutation: Sequence[int]) -> Shape:
    """Result axis i is operand axis permutation[i]."""
    if sorted(permutation) != list(range(len(x))):
        raise ValueError(f"{list(permutation)} is no permutation of the axes of {_show(x)}")
    return tuple(x[axis] for axis in permutation)


def _image(x: Shape) -> tuple[int, int, int]:
    if len(x) != 3:
        raise ValueError(f"x {_show(x)} is not [height, width, channels]")
    return x[0], x[1], x[2]


def _weight(x: Shape, weight: Shape, groups: int) -> tuple[int, int, int]:
    """Output channels and kernel of a weight that fits x."""
    if len(weight) != 4 or groups < 1 or weight[3] * groups != x[2] or weight[0] % groups:
        raise ValueError(f"weight {_show(weight)} with {groups} groups does not fit x {_show(x)}")
    return weight[0], weight[1], weight[2]


def _positive(*shape: int) -> Shape:
    if min(shape) < 1:
        raise ValueError(f"the result would be {_show(shape)}: the window does not fit")
    return shape


def _show(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "scalar"
