"""Records that the ESP32-S3's kernels read through `blocks`: weights in the order of the MACs, QACC's start, shifts.

One record per block of 16 outputs; a record stands for itself, so that a call can be given any part of them. Its layout
is written down in src_asm/esp32s3/record.inc. A weight vector holds the weights of 16 outputs for one input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from pienn.codegen.packing import LANES, Filter
from pienn.errors import PiennError
from pienn.plan import qacc_proof
from pienn.plan.qacc_proof import CARRY_FACTORS, Block, Proof

RESIDENT = 4  # vectors
HEADER_WORDS = 12
ADDRESS_BYTES = 4
BIAS_FACTOR = 127  # of the part of a bias that bodies of small biases multiply
SMALL_BIAS = BIAS_FACTOR * 127 + 63
LARGER_BIAS = 2 * BIAS_FACTOR * 127 + 126
SHIFT_BYTE = 8  # where the shift lies
SEVERAL_SHIFTS = 32  # more in the shift of fully_connected_s8's blocks that have several
MOST_FURTHER_SHIFTS = 4  # of bodies that unroll their steps
LANE_BITS = 20
ONLY_RELU = ((-128, 127), (0, 127))


class Conv2dBody(IntEnum):
    """Bodies of src_asm/esp32s3/conv2d_s8.S."""

    POINTWISE_8 = 0
    POINTWISE_16 = 1
    POINTWISE_24 = 2
    POINTWISE_32 = 3
    POINTWISE_64 = 4
    POINTWISE_8_CLAMPED = 5
    POINTWISE_16_CLAMPED = 6
    POINTWISE_24_CLAMPED = 7
    POINTWISE_32_CLAMPED = 8
    POINTWISE_64_CLAMPED = 9
    POINTWISE_128_CLAMPED = 10
    POINTWISE_256_CLAMPED = 11
    NINE_TAPS_16 = 12
    NINE_TAPS_16_TWO_DIGITS = 13
    NINE_TAPS_24 = 14
    NINE_TAPS_32 = 15
    RGB = 16
    RGB_STEP_6 = 17
    RGB_PAIRS_STEP_6 = 18
    TEN_ROWS_OF_4 = 19
    RUNS_OF_4_STEP_2 = 20
    RUNS_EVEN = 21
    RUNS_ODD = 22
    TAPS_WHOLE = 23
    TAPS_HALF = 24
    TAPS_WHOLE_HALF = 25
    PACKED_RUNS = 26
    POINTWISE_8_LARGER_BIAS = 27
    POINTWISE_64_TWO_DIGITS = 28
    RGB_TWO_DIGITS = 29
    NINE_TAPS_24_TWO_DIGITS = 30


@dataclass(frozen=True)
class Layout:
    """What of the call's memory and window the choice of a body depends on."""

    x_pixel_stride: int  # bytes
    stride_x: int = 1
    dilation_x: int = 1
    line: int = 0  # bytes between kernel rows
    columns: int = 0  # of the result
    outputs: int = LANES


def rounded_up(channels: int, unit: int) -> int:
    return -(-channels // unit) * unit


def is_packed(channels: int, layout: Layout) -> bool:
    """Whether pixels follow each other without gaps, as in a first layer."""
    return layout.x_pixel_stride == channels and channels % LANES > 0


def special_body(
    kernel: tuple[int, int],
    channels: int,
    layout: Layout,
    clamp: tuple[int, int],
    steps: int = 0,
    largest_start: int = 0,
) -> Conv2dBody | None:
    """An unrolled body for these taps and channels in one digit, `steps` to further shifts, sums that start within
    -largest_start..largest_start, if there is one."""
    if steps > MOST_FURTHER_SHIFTS:
        return None
    only_relu = clamp in ONLY_RELU
    if is_packed(channels, layout):
        if (kernel, channels) == ((3, 3), 3) and layout.dilation_x == 1:
            if layout.stride_x != 2 or not only_relu:
                return Conv2dBody.RGB
            pairs = layout.columns % 2 == 0 and layout.outputs <= LANES // 2
            return Conv2dBody.RGB_PAIRS_STEP_6 if pairs else Conv2dBody.RGB_STEP_6
        if kernel[0] % 2 or (kernel[1] * channels, layout.stride_x * channels) != (4, 2):
            return None
        ten = (kernel[0], layout.line, layout.columns, steps) == (10, LANES, 5, 0)
        return Conv2dBody.TEN_ROWS_OF_4 if ten else Conv2dBody.RUNS_OF_4_STEP_2
    lanes = rounded_up(channels, LANES // 2)
    if layout.x_pixel_stride != rounded_up(channels, LANES) or layout.dilation_x != 1:
        return None
    if kernel == (1, 1) and layout.stride_x == 1:
        plain = Conv2dBody.__members__.get(f"POINTWISE_{lanes}")
        clamped = Conv2dBody.__members__.get(f"POINTWISE_{lanes}_CLAMPED")
        if plain is None or not only_relu or steps:
            return clamped
        if not bias_multiples(plain) or largest_start <= SMALL_BIAS:
            return plain
        larger = plain == Conv2dBody.POINTWISE_8 and largest_start <= LARGER_BIAS
        return Conv2dBody.POINTWISE_8_LARGER_BIAS if larger else clamped
    if kernel == (3, 3):
        return Conv2dBody.__members__.get(f"NINE_TAPS_{max(lanes, LANES)}")
    return None


def general_body(kernel: tuple[int, int], channels: int, layout: Layout) -> Conv2dBody:
    """The body for any block."""
    if is_packed(channels, layout) and layout.dilation_x == 1:
        return Conv2dBody.PACKED_RUNS
    if layout.x_pixel_stride % LANES:
        raise PiennError(
            f"no body for pixels of {channels} channels every {layout.x_pixel_stride} bytes, "
            f"dilation {layout.dilation_x}"
        )
    padded = rounded_up(channels, LANES)
    half = rounded_up(channels, LANES // 2) != padded
    dense = layout.x_pixel_stride == padded and layout.dilation_x == 1
    if (dense or kernel[1] == 1) and not (half and channels < LANES):
        return Conv2dBody.RUNS_ODD if kernel[1] * padded // LANES % 2 else Conv2dBody.RUNS_EVEN
    if not half:
        return Conv2dBody.TAPS_WHOLE
    return Conv2dBody.TAPS_WHOLE_HALF if channels > LANES // 2 else Conv2dBody.TAPS_HALF


def lanes_of(body: Conv2dBody, channels: int) -> int:
    """Lanes of input of a tap that a body multiplies."""
    if body in (
        Conv2dBody.RGB,
        Conv2dBody.RGB_TWO_DIGITS,
        Conv2dBody.RGB_STEP_6,
        Conv2dBody.RGB_PAIRS_STEP_6,
        Conv2dBody.TEN_ROWS_OF_4,
        Conv2dBody.RUNS_OF_4_STEP_2,
        Conv2dBody.PACKED_RUNS,
    ):
        return channels
    whole = body in (
        Conv2dBody.NINE_TAPS_16,
        Conv2dBody.NINE_TAPS_16_TWO_DIGITS,
        Conv2dBody.RUNS_EVEN,
        Conv2dBody.RUNS_ODD,
        Conv2dBody.TAPS_WHOLE,
    )
    return rounded_up(channels, LANES if whole else LANES // 2)


def body_in_two_digits(
    kernel: tuple[int, int], channels: int, layout: Layout, clamp: tuple[int, int]
) -> tuple[Conv2dBody, np.ndarray] | None:
    """An unrolled body for these taps and channels in two digits, all lanes shifted alike, and which of the inputs
    have a second digit, in its order."""
    found = special_body(kernel, channels, layout, clamp)
    if found == Conv2dBody.NINE_TAPS_16:
        return Conv2dBody.NINE_TAPS_16_TWO_DIGITS, np.arange(9 * LANES) >= 6 * LANES
    if found == Conv2dBody.NINE_TAPS_24:
        return Conv2dBody.NINE_TAPS_24_TWO_DIGITS, np.arange(9 * 24) >= 6 * 24
    if found in (Conv2dBody.POINTWISE_64, Conv2dBody.POINTWISE_64_CLAMPED):
        return Conv2dBody.POINTWISE_64_TWO_DIGITS, np.arange(4 * LANES) >= 2 * LANES
    rgb = (Conv2dBody.RGB, Conv2dBody.RGB_STEP_6, Conv2dBody.RGB_PAIRS_STEP_6)
    if found in rgb and clamp in ONLY_RELU:
        return Conv2dBody.RGB_TWO_DIGITS, np.ones(27, bool)
    return None


def resident_weights(body: Conv2dBody) -> list[int]:
    """Which inputs' weights stay in registers."""
    if Conv2dBody.RUNS_OF_4_STEP_2 <= body <= Conv2dBody.PACKED_RUNS:
        return []
    return [0, 1, 20, 36] if body == Conv2dBody.POINTWISE_64 else [0, 1]


IMAGE_BEHIND = {
    Conv2dBody.RGB_STEP_6: 0,
    Conv2dBody.RGB_PAIRS_STEP_6: LANES,
}
"""Bodies with QACC's image behind the weights, and by how many bytes it is rotated: its high words may come first."""


def bias_multiples(body: Conv2dBody) -> int:
    """How often a body adds a multiple of BIAS_FACTOR to its sums, which start from int8; 0: from QACC's image."""
    return 2 if body == Conv2dBody.POINTWISE_8_LARGER_BIAS else int(body <= Conv2dBody.POINTWISE_32)


def order_of_inputs(body: Conv2dBody, count: int) -> list[int]:
    """In which the body multiplies them."""
    if body in (Conv2dBody.NINE_TAPS_16, Conv2dBody.NINE_TAPS_16_TWO_DIGITS):
        last = 7 * LANES + 15  # so that both input registers are free for the next pixel
        return [i for i in range(count) if i != last] + [last]
    return list(range(count))


def paired(block: Block) -> Block:
    """Two neighbouring pixels of a 3x3 window over 3 channels in steps of 2, whose first 8 lanes are outputs: the
    weights of the 3 x 15 inputs that one of them reads, lanes 0-7 and 8-15 for either."""
    half, run, step = LANES // 2, 9, 6
    weights = np.zeros((3, run + step, LANES), block.weights.dtype)
    taps = block.weights.reshape(3, run, LANES)[:, :, :half]
    weights[:, :run, :half] = taps
    weights[:, step:, half:] = taps
    start, shift = np.tile(block.start[:half], 2), np.tile(block.shift[:half], 2)
    return replace(block, weights=weights.reshape(-1, LANES), start=start, shift=shift)


def high_digit_choices(rows: int, run: int, odd: bool) -> Iterator[tuple[int, np.ndarray]]:
    """(vectors per run, inputs) that can be given a high digit: the first vectors of all runs, cheapest first."""
    vectors = run // LANES
    for count in range(1 if odd else 2, vectors + 1, 2):
        yield count, np.tile(np.repeat(np.arange(vectors) < count, LANES), rows)


def accumulator_image(start: np.ndarray) -> np.ndarray:
    """48 bytes: 16 lanes of 20 bits; the start saturates as a sum would."""
    lanes = np.clip(start, qacc_proof.LOWEST, qacc_proof.HIGHEST).astype(np.int64) & ((1 << LANE_BITS) - 1)
    halves = []
    for half in lanes.reshape(2, LANES // 2):
        number = sum(int(lane) << (LANE_BITS * i) for i, lane in enumerate(half))
        halves.append(number.to_bytes(LANE_BITS, "little"))
    image = halves[0][:16] + halves[1][:16] + halves[0][16:] + halves[1][16:] + bytes(8)
    return np.frombuffer(image, np.uint8).copy()


def further_shifts(shift: np.ndarray) -> tuple[int, int, np.ndarray]:
    """(smallest shift, step to the next, masks `[steps, 16]` of the lanes that take each step)."""
    distinct = np.unique(shift).astype(np.int64)
    first, step = int(distinct[0]), int(np.gcd.reduce(np.diff(distinct))) if len(distinct) > 1 else 0
    reached = np.arange(first + step, distinct[-1] + 1, step) if step else np.zeros(0, np.int64)
    return first, step, np.where(shift >= reached[:, None], 255, 0).astype(np.uint8)


def record(
    block: Block,
    proof: Proof,
    body: int = 0,
    resident: Sequence[int] = (),
    run: int = 0,
    high_run: int = 0,
    first_register: int = 0,
    ahead: int = 2,
    image_behind: int | None = None,
    several: bool = False,
    steps: int = 0,
    bias_factor: int = 0,
) -> np.ndarray:
    """One record as uint8; `block` has its weights in the order of the MACs, `resident` are places in it, the first of
    which is for register q4 + first_register; `body`: its place in the call's list; `ahead`: weights that the kernel
    has loaded when a pass ends; `image_behind`: by how many bytes QACC's image is rotated that follows the weights;
    `several`: the body knows blocks of several shifts; `steps`: the body always takes that many to further shifts;
    `bias_factor`: where not 0, the start is b + bias_factor * c, b in place of QACC's image, c in q6."""
    streamed = [i for i in range(len(block.weights)) if i not in resident]
    kept = np.zeros((RESIDENT, LANES), np.int8)
    kept[2], kept[3] = block.minimum, block.maximum
    kept[first_register : first_register + len(resident)] = block.weights[list(resident)]
    two_digits = proof.mode == "two digits"
    start = block.start
    if two_digits:
        low, high = qacc_proof.digits(block.weights, proof.high, proof.digit_bits)
        kept[first_register : first_register + len(resident)] = low[list(resident)]
        parts = [low[streamed], high[proof.high]]
        if proof.carries:
            start, added = qacc_proof.carry(start, proof.digit_bits)
            parts.insert(1, qacc_proof.carry_weights(added))
        stream = np.concatenate(parts)
    else:
        stream = block.weights[streamed]
    first, step, masks = further_shifts(block.shift)
    if two_digits:
        shift = first - proof.digit_bits if resident else -1
    else:
        shift = -1 if len(masks) and not (several or steps) else first
    masks = np.pad(masks, ((0, max(0, steps - len(masks))), (0, 0)))
    vectors = [kept.view(np.uint8), stream.astype(np.int8).view(np.uint8)]
    if image_behind is not None:
        vectors.append(np.roll(accumulator_image(block.start), image_behind))
    vectors.append(masks)
    if proof.carries:
        vectors.append(CARRY_FACTORS.view(np.uint8))
    image = accumulator_image(start)
    if bias_factor:
        multiple = (start + bias_factor // 2) // bias_factor
        kept[2], kept[3] = multiple, BIAS_FACTOR
        image[:LANES] = (start - bias_factor * multiple).astype(np.int8).view(np.uint8)
    data = np.concatenate([image, *(v.ravel() for v in vectors)])
    header = np.zeros(HEADER_WORDS, "<i4")
    header[:] = [
        body * ADDRESS_BYTES,
        header.nbytes + len(data),
        shift,
        0 if (block.minimum, block.maximum) == (0, 127) else 1,
        run,
        first - proof.digit_bits,
        len(masks) | step << 16,
        high_run * two_digits,
        (len(block.weights) + ahead) * LANES * two_digits,
        header.nbytes + len(data) - (len(masks) + proof.carries) * LANES,
        proof.digit_bits,
        (header.nbytes + len(data) - LANES) * proof.carries,
    ]
    return np.concatenate([header.view(np.uint8), data])


def _run_of_taps(body: Conv2dBody, kernel: tuple[int, int], channels: int) -> int:
    """Field 4 of the record for bodies that walk taps or bytes."""
    if body == Conv2dBody.PACKED_RUNS:
        return kernel[1] * channels
    return lanes_of(body, channels) // LANES * LANES


@dataclass(frozen=True)
class Packed:
    """Records of a layer as uint8, of each block the body's name and the proof, and the list of bodies."""

    blocks: np.ndarray
    chosen: list[tuple[str, Proof]]
    bodies: tuple[IntEnum, ...] = ()


def blocks_of(packed: Filter, x_range: tuple[int, int], clamp: tuple[int, int]) -> Iterator[Block]:
    """The blocks of a filter, weights `[inputs, 16]` in the order of the window, tamed."""
    for index, taps in enumerate(packed.weights.reshape(len(packed.weights), -1, LANES)):
        lanes = slice(index * LANES, (index + 1) * LANES)
        start, shift = packed.bias[lanes].astype(np.int64), packed.shift[lanes].astype(np.int64)
        yield qacc_proof.tamed(Block(taps, start, shift, *x_range, *clamp))


def conv2d_blocks(
    packed: Filter,
    kernel: tuple[int, int],
    channels: int,
    layout: Layout,
    x_range: tuple[int, int] = (-128, 127),
    clamp: tuple[int, int] = (-128, 127),
) -> Packed:
    """packed.weights is `[blocks, kh, kw, channels, 16]` as packing.filter_of makes it; x_range: of stored input
    values, padding included."""
    general = general_body(kernel, channels, layout)

    def in_order(block: Block, body: Conv2dBody) -> Block:
        if body == Conv2dBody.RGB_PAIRS_STEP_6:
            return paired(block)
        lanes = lanes_of(body, channels)
        weights = block.weights.reshape(-1, channels, LANES)
        weights = np.pad(weights, ((0, 0), (0, lanes - channels), (0, 0))).reshape(-1, LANES)
        return replace(block, weights=weights[order_of_inputs(body, len(weights))])

    records, chosen = [], []
    bodies: list[IntEnum] = []
    for index, block in enumerate(blocks_of(packed, x_range, clamp)):
        body, proof, high_run = general, None, 0
        run = kernel[1] * rounded_up(channels, LANES)
        steps, largest_start = len(further_shifts(block.shift)[2]), int(np.abs(block.start).max())
        special = special_body(kernel, channels, layout, clamp, steps, largest_start)
        if special is not None:
            proof = qacc_proof.prove(in_order(block, special))
            body = special
            two_digits = body_in_two_digits(kernel, channels, layout, clamp)
            if proof is None and two_digits is not None and not steps:
                body, high = two_digits
                proof = qacc_proof.prove(in_order(block, body), [high])
                proof = None if proof is None or proof.carries else proof
            body = general if proof is None else body
        ordered = in_order(block, body)
        if proof is None:
            runs = general in (Conv2dBody.RUNS_EVEN, Conv2dBody.RUNS_ODD)
            if runs:
                choices = dict(high_digit_choices(kernel[0], run, general == Conv2dBody.RUNS_ODD))
            else:
                run = _run_of_taps(general, kernel, channels)
                choices = {1: np.ones(len(ordered.weights), bool)}
            proof = proved(ordered, choices.values(), index)
            high_run = round(proof.fraction * run) if runs else 1
        records.append(
            record(
                ordered,
                proof,
                _place(body, bodies),
                resident_weights(body),
                run,
                high_run,
                ahead=1 if body == Conv2dBody.PACKED_RUNS else 2,
                image_behind=IMAGE_BEHIND.get(body),
                several=body == special,
                bias_factor=BIAS_FACTOR * bias_multiples(body),
            )
        )
        chosen.append((body.name, proof))
    return Packed(np.concatenate(records), chosen, tuple(bodies))


def _place(body: IntEnum, bodies: list[IntEnum]) -> int:
    """The place of a body in the list, which gets it where it is new."""
    if body not in bodies:
        bodies.append(body)
    return bodies.index(body)


def proved(block: Block, choices: Iterable[np.ndarray], index: int) -> Proof:
    """The proof of block number `index`, or PiennError."""
    proof = qacc_proof.prove(block, choices)
    if proof is None:
        raise qacc_proof.refusal(block, f"output channels {index * LANES}..{index * LANES + LANES - 1}")
    return proof


def fully_connected_blocks(
    packed: Filter, depth: int, x_range: tuple[int, int] = (-128, 127), clamp: tuple[int, int] = (-128, 127)
) -> Packed:
    """packed.weights is `[blocks, depth, 16]`; inputs are filled up to whole vectors with weights of 0."""
    run = rounded_up(depth, LANES)
    records, chosen = [], []
    for index, block in enumerate(blocks_of(packed, x_range, clamp)):
        filled = replace(block, weights=np.pad(block.weights, ((0, run - depth), (0, 0))))
        choices = (np.arange(run) < count for count in range(LANES, run + 1, LANES))
        proof = proved(filled, choices, index)
        packed_block = record(filled, proof, run=run, high_run=round(proof.fraction * run), several=True)
        if len(further_shifts(block.shift)[2]) and proof.mode != "two digits":
            packed_block[SHIFT_BYTE] += SEVERAL_SHIFTS
        records.append(packed_block)
        chosen.append(("FULLY_CONNECTED", proof))
    return Packed(np.concatenate(records), chosen)


ALL_ROWS = 1  # in place of a run: the body can compute all rows at once


class DepthwiseBody(IntEnum):
    """Bodies of src_asm/esp32s3/depthwise_conv2d_s8.S."""

    ANY_WINDOW = 0
    NINE_TAPS = 1
    NINE_TAPS_RELU = 2
    NINE_TAPS_CLAMPED = 3
    TAPS_25_RELU = 4
    TAPS_25_CLAMPED = 5
    NINE_TAPS_2_SHIFTS = 6
    NINE_TAPS_4_SHIFTS = 7
    NINE_TAPS_7_SHIFTS = 8
    NINE_TAPS_CLAMPED_2_SHIFTS = 9
    NINE_TAPS_CLAMPED_4_SHIFTS = 10

    @property
    def further_shifts(self) -> int:
        """How many steps to further shifts it takes."""
        return int(self.name.split("_")[-2]) - 1 if self.name.endswith("SHIFTS") else 0


def depthwise_body(
    kernel: tuple[int, int], width: int, dilation_x: int, clamp: tuple[int, int], steps: int = 0
) -> DepthwiseBody:
    """The body for blocks in one digit, `steps` to further shifts."""
    taps = {(3, 3): "NINE_TAPS", (5, 5): "TAPS_25"}.get(kernel)
    if width == 1 or dilation_x > 1 or taps is None:
        return DepthwiseBody.ANY_WINDOW
    variants = {(-128, 127): ("", "_RELU"), (0, 127): ("_RELU",)}.get(clamp, ())
    clamped = taps + "_CLAMPED"
    if steps:
        name = taps if clamp == (-128, 127) else clamped
        names = [f"{name}_{shifts}_SHIFTS" for shifts in range(steps + 1, 8)]
    else:
        names = [*(taps + variant for variant in variants), clamped]
    found = (DepthwiseBody.__members__.get(name) for name in names)
    return next((body for body in found if body is not None), DepthwiseBody.ANY_WINDOW)


def depthwise_blocks(
    packed: Filter,
    kernel: tuple[int, int],
    width: int,
    dilation_x: int = 1,
    x_range: tuple[int, int] = (-128, 127),
    clamp: tuple[int, int] = (-128, 127),
) -> Packed:
    """packed.weights is `[blocks, kh, kw, 16]`; width: columns of the result. Half of the pixels walk the taps
    backwards."""
    records, chosen = [], []
    bodies: list[IntEnum] = []
    for index, block in enumerate(blocks_of(packed, x_range, clamp)):
        count = len(block.weights)
        steps = len(further_shifts(block.shift)[2])
        body = depthwise_body(kernel, width, dilation_x, clamp, steps)
        proof = qacc_proof.prove(block)
        back = qacc_proof.prove(replace(block, weights=block.weights[::-1]))
        if proof is None or back is None:
            body = DepthwiseBody.ANY_WINDOW
        elif back.margin < proof.margin:
            proof = back
        if body == DepthwiseBody.ANY_WINDOW:
            proof = proved(block, [np.ones(count, bool)], index)
            records.append(record(block, proof, _place(body, bodies), ahead=1))
        else:
            assert proof is not None
            residents = 1 if "CLAMPED" in body.name else 3
            first = (count - residents) // 2
            kept = range(first, first + residents)
            place = _place(body, bodies)
            records.append(
                record(block, proof, place, kept, ALL_ROWS, first_register=1, steps=body.further_shifts)
            )
        chosen.append((body.name, proof))
    return Packed(np.concatenate(records), chosen, tuple(bodies))
