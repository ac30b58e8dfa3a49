"""Which kernel computes an op, and what that kernel asks of the memory its operands and its result lie in."""

from __future__ import annotations

from dataclasses import dataclass

from pienn.ir.dialect import Conv2dOp, MeanOp, PiennOp, shape_of
from pienn.plan.views import View


@dataclass(frozen=True)
class Kernel:
    """What a kernel can address.

    reads, writes: 'flat' a row-major block without gaps; 'rows' one stride between all vectors of the last axis;
        'image' up to rank 3 with the channels of a pixel side by side; 'strided' up to 4 axes with any strides.
    in_place: the operands that the result may overwrite, element by element.
    """

    name: str
    reads: str = "flat"
    writes: str = "flat"
    in_place: tuple[int, ...] = ()


# op -> kernel; conv2d becomes depthwise_conv2d where every group is one channel.
KERNELS = {
    "conv2d": Kernel("conv2d_s8", "image", "image"),
    "depthwise_conv2d": Kernel("depthwise_conv2d_s8", "image", "image"),
    "conv_transpose2d": Kernel("conv_transpose2d_s8", "image", "image"),
    "fully_connected": Kernel("fully_connected_s8", "rows", "rows"),
    "matmul": Kernel("matmul_s8"),
    "add": Kernel("add_s8", "strided", "strided", (0, 1)),
    "sub": Kernel("sub_s8", "strided", "strided", (0, 1)),
    "mul": Kernel("mul_s8", "strided", "strided", (0, 1)),
    "requantize": Kernel("requantize_s8", "image", "image", (0,)),
    "prelu": Kernel("prelu_s8", "image", "image", (0,)),
    "lut": Kernel("lut_s8", "image", "image", (0,)),
    "softmax": Kernel("softmax_s8", "rows", "rows", (0,)),
    "max_pool2d": Kernel("max_pool2d_s8", "image", "image"),
    "avg_pool2d": Kernel("avg_pool2d_s8", "image", "image"),
    "mean": Kernel("mean_s8"),
    "resize_nearest": Kernel("resize_nearest_s8", "image", "image"),
    "resize_bilinear": Kernel("resize_bilinear_s8", "image", "image"),
    "transpose": Kernel("transpose_s8", "strided", "strided"),
    "pad": Kernel("pad_s8", "strided", "strided"),
}
COPY = Kernel("copy_s8", "strided", "strided")
HALO = Kernel("halo_s8")
IMAGE_MEAN = Kernel("mean_s8", "image")  # over all pixels of an image
# These move no bytes where the planner finds a view; otherwise they are a copy.
VIEWS = ("reshape", "slice", "concat")


def is_depthwise(op: PiennOp) -> bool:
    """One filter per channel: groups = input channels = output channels."""
    if not isinstance(op, Conv2dOp):
        return False
    channels = shape_of(op.x)[-1]
    return op.parameters["groups"] == channels == shape_of(op.result)[-1]


def is_image_mean(op: MeanOp) -> bool:
    """Over height and width of an image."""
    given = op.parameters
    return len(shape_of(op.x)) == 3 and given["first_axis"] == 0 and given["last_axis"] == 1


def kernel_of(op: PiennOp) -> Kernel:
    """The kernel that computes the op; the ops of `VIEWS` have the copy kernel."""
    if op.short_name in VIEWS:
        return COPY
    if isinstance(op, MeanOp) and is_image_mean(op):
        return IMAGE_MEAN
    return KERNELS["depthwise_conv2d" if is_depthwise(op) else op.short_name]


def addresses(need: str, view: View) -> bool:
    """Whether a kernel with that need can reach the view."""
    if view.contiguous:
        return True
    dense_channels = view.shape[-1] == 1 or view.strides[-1] == 1
    if need == "image":
        return len(view.shape) <= 3 and dense_channels
    if need == "rows":
        return dense_channels and view.row_stride is not None
    return need == "strided" and len(view.shape) <= 4


def macs_of(op: PiennOp) -> int:
    """Multiply-accumulates as the field counts them: output elements times filter taps, unpadded channels."""
    out = 1
    for size in shape_of(op.result):
        out *= size
    if op.short_name in ("conv2d", "fully_connected"):
        taps = shape_of(op.operands[1])[1:]
    elif op.short_name == "conv_transpose2d":
        # each input pixel meets each tap of every output channel of its group
        out = 1
        for size in (*shape_of(op.operands[0])[:2], shape_of(op.result)[-1]):
            out *= size
        taps = shape_of(op.operands[1])[1:]
    elif op.short_name == "matmul":
        taps = shape_of(op.operands[0])[-1:]
    else:
        return 0
    for size in taps:
        out *= size
    return out
