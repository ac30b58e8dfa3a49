"""The published loops as assembly: what `pienn sim calibrate` runs."""

from __future__ import annotations

from dataclasses import dataclass

INNER = 256  # trips of the inner hardware loop, as in the public benchmark
OUTER = 16
KB = 1024


@dataclass(frozen=True)
class Loop:
    """A function `loop` with its buffers (bytes, memory) and numbers as arguments, and what was measured.

    `units`: how many of the measured `unit` one call performs.
    """

    target: str
    name: str
    unit: str
    text: str
    units: int
    measured: float
    source: str
    buffers: tuple[tuple[int, str], ...] = ()
    arguments: tuple[int, ...] = ()
    is_microloop: bool = True
    warm: bool = True
    note: str = ""


def _p4(body: str, inner: int = INNER) -> str:
    """A hardware loop of `inner` trips in a loop of a3 rounds. a0..a2: streams, restarted each round."""
    lines = [line.strip() for line in body.strip().splitlines()]
    return "\n".join(
        [
            ".option norvc",
            ".text",
            ".global loop",
            "loop:",
            "1: mv a4, a0",
            "mv a5, a1",
            "mv t3, a2",
            f"li t4, {inner}",
            ".balign 4",
            "esp.lp.setup 0, t4, 2f",
            *lines[:-1],
            f"2: {lines[-1]}",
            "addi a3, a3, -1",
            "bnez a3, 1b",
            "ret",
            "",
        ]
    )


def _s3(body: str, inner: int = INNER) -> str:
    """The same with the zero-overhead loop. a2..a4: streams, a5: rounds."""
    return "\n".join(
        [
            ".text",
            ".global loop",
            ".align 4",
            "loop:",
            "entry a1, 32",
            f"movi a9, {inner}",
            "1: mov a6, a2",
            "mov a7, a3",
            "mov a8, a4",
            "loopnez a9, 2f",
            body,
            "2: addi a5, a5, -1",
            "bnez a5, 1b",
            "retw",
            "",
        ]
    )


def _both(
    name: str,
    unit: str,
    p4: str,
    s3: str,
    measured: tuple[float, float],
    per_trip: int = 1,
    size: int = 4 * KB,
) -> list[Loop]:
    """A row of the public benchmark, measured on both chips with data in SRAM."""
    buffers = ((size, "SRAM"),) * 3
    return [
        Loop(
            "esp32p4", name, unit, _p4(p4), INNER * OUTER * per_trip, measured[0], "tops", buffers, (OUTER,)
        ),
        Loop(
            "esp32s3", name, unit, _s3(s3), INNER * OUTER * per_trip, measured[1], "tops", buffers, (OUTER,)
        ),
    ]


def _stream(operation: str) -> tuple[str, str]:
    p4 = f"""esp.vld.128.ip q0, a4, 16
        esp.vld.128.ip q1, a5, 16
        esp.{operation} q2, q0, q1
        esp.vst.128.ip q2, t3, 16"""
    s3 = f"""ee.vld.128.ip q0, a6, 16
        ee.vld.128.ip q1, a7, 16
        ee.{operation.replace("vadd", "vadds")} q2, q0, q1
        ee.vst.128.ip q2, a8, 16"""
    return p4, s3


def _accumulate(width: str) -> tuple[str, str]:
    p4 = f"""esp.vmulas.{width}.qacc.ld.ip q0, a4, 16, q0, q1
        esp.vld.128.ip q1, a5, 16"""
    s3 = f"""ee.vmulas.{width}.qacc.ld.ip q0, a6, 16, q0, q1
        ee.vld.128.ip q1, a7, 16"""
    return p4, s3


_MULTIPLY_ADD = "".join(
    f"mul {m}, a4, a5\nadd {a}, a4, a5\n" for m, a in (("t0", "t5"), ("t1", "t6"), ("t2", "a6"), ("a2", "a7"))
)
_MULTIPLY_ADD_S3 = "\n".join(f"mull a{10 + n}, a6, a7\nadd a{10 + (n + 2) % 4}, a6, a7" for n in range(4))

_BENCHMARK = [
    *_both(
        "16 x vmulas.s8.xacc, registers only",
        "multiply-accumulate",
        "esp.vmulas.s8.xacc q0, q1\n" * 16,
        "ee.vmulas.s8.accx q0, q1\n" * 16,
        (1.005, 1.004),
        16,
    ),
    *_both(
        "16 x vmulas.s16.xacc, registers only",
        "multiply-accumulate",
        "esp.vmulas.s16.xacc q0, q1\n" * 16,
        "ee.vmulas.s16.accx q0, q1\n" * 16,
        (1.005, 1.004),
        16,
    ),
    *_both("vmulas.s8.qacc.ld.ip; vld", "iteration", *_accumulate("s8"), (3.072, 3.03)),
    *_both("vmulas.s16.qacc.ld.ip; vld", "iteration", *_accumulate("s16"), (3.072, 3.03)),
    *_both("vld; vld; vmul.s8; vst", "iteration", *_stream("vmul.s8"), (5.083, 6.083)),
    *_both("vld; vld; vmul.s16; vst", "iteration", *_stream("vmul.s16"), (5.091, 6.084)),
    *_both("vld; vld; vadd.s8; vst", "iteration", *_stream("vadd.s8"), (5.082, 5.079)),
    *_both("vld; vld; vadd.s16; vst", "iteration", *_stream("vadd.s16"), (5.09, 5.078)),
    *_both("vld; vld; vadd.s32; vst", "iteration", *_stream("vadd.s32"), (5.083, 5.079)),
    *_both(
        "vld; vst (copy)",
        "iteration",
        "esp.vld.128.ip q0, a4, 16\nesp.vst.128.ip q0, a5, 16",
        "ee.vld.128.ip q0, a6, 16\nee.vst.128.ip q0, a7, 16",
        (2.063, 3.031),
    ),
    *_both("4 x (mul; add), independent", "pair", _MULTIPLY_ADD, _MULTIPLY_ADD_S3, (2.01, 2.008), 4),
    *_both(
        "8 fused multiply-adds, independent",
        "multiply-add",
        "\n".join(f"fmadd.s fa{n}, ft0, ft1, fa{n}" for n in range(8)),
        "\n".join(f"madd.s f{n}, f8, f9" for n in range(8)),
        (1.006, 1.004),
        8,
    ),
]

_BRANCH_LOOP = """
.option norvc
.text
.global loop
loop:
    mv a4, a0
    mv a5, a1
    li t3, 1
1:
{body}
    addi a3, a3, -1
    bnez a3, 1b
    ret
"""
_TRIPS = 1000
_BRANCHES = [
    Loop(
        "esp32p4",
        "vld; vldbc; vmulas.qacc; addi; bnez",
        "iteration",
        _BRANCH_LOOP.format(
            body="esp.vld.128.ip q0, a4, 16\nesp.vldbc.8.ip q1, a5, 1\nesp.vmulas.s8.qacc q0, q1"
        ),
        _TRIPS,
        6.0,
        "esp-nn",
        ((16 * _TRIPS, "SRAM"), (KB, "SRAM"), (KB, "SRAM")),
        (_TRIPS,),
        note="measured on the ESP32-S31",
    ),
    Loop(
        "esp32p4",
        "vmulas.qacc.ld.ip; vldbc.xp; addi; bnez",
        "iteration",
        _BRANCH_LOOP.format(body="esp.vmulas.s8.qacc.ld.ip q0, a4, 16, q0, q1\nesp.vldbc.8.xp q1, a5, t3"),
        _TRIPS,
        4.06,
        "esp-nn",
        ((16 * _TRIPS, "SRAM"), (32 << 10, "SRAM"), (KB, "SRAM")),
        (_TRIPS,),
        note="measured on the ESP32-S31",
    ),
]

# a0 weights [rows][columns], a1 x, a2 out (bytes), a3 rows, a4 columns / 64 * 2
_MATRIX_VECTOR = """
.option norvc
.text
.global loop
loop:
    addi sp, sp, -32
    sw s0, 0(sp)
    sw s1, 4(sp)
    sw s8, 8(sp)
    sw s9, 12(sp)
    mv s8, a4
    li s9, 7
1:  mv s0, a1
    mv t3, s8
    esp.zero.xacc
    esp.vld.128.ip q0, a0, 16
    esp.vld.128.ip q1, s0, 16
2:  esp.vld.128.ip q2, a0, 16
    esp.vmulas.s8.xacc.ld.ip q3, s0, 16, q0, q1
    esp.vld.128.ip q0, a0, 16
    esp.vmulas.s8.xacc.ld.ip q1, s0, 16, q2, q3
    addi t3, t3, -1
    bnez t3, 2b
    addi a0, a0, -16
    esp.srs.s.xacc s1, s9
    li t4, 127
    blt s1, t4, 3f
    mv s1, t4
3:  li t4, -128
    bge s1, t4, 4f
    mv s1, t4
4:  sb s1, 0(a2)
    addi a2, a2, 1
    addi a3, a3, -1
    bnez a3, 1b
    lw s0, 0(sp)
    lw s1, 4(sp)
    lw s8, 8(sp)
    lw s9, 12(sp)
    addi sp, sp, 32
    ret
"""


def _matrix_vector(rows: int, columns: int, measured: float) -> Loop:
    return Loop(
        "esp32p4",
        f"int8 matrix {rows} x {columns} by vector, SRAM",
        "row",
        _MATRIX_VECTOR,
        rows,
        measured / rows,
        "mcu-bench",
        ((rows * columns + 64, "SRAM"), (columns + 64, "SRAM"), (rows, "SRAM")),
        (rows, columns // 32),
        is_microloop=False,
    )


# a0 x, a1 y, a2 result, a3 n / 8
_DOT_S16 = """
.option norvc
.text
.global loop
loop:
    esp.zero.xacc
    mv a4, a0
    mv a5, a1
    esp.vld.128.ip q0, a4, 16
1:  esp.vld.128.ip q1, a5, 16
    esp.vmulas.s16.xacc.ld.ip q0, a4, 16, q0, q1
    addi a3, a3, -1
    bgtz a3, 1b
    li a4, 15
    esp.srs.s.xacc a5, a4
    sh a5, 0(a2)
    li a0, 0
    ret
"""
# a0 image, a1 filter, a2 result, a3 rows, a4 trips of 16 bytes a row
_DOT_IMAGE = """
.option norvc
.text
.global loop
loop:
    esp.zero.xacc
    mv a5, a0
    mv t3, a1
1:  esp.vld.128.ip q0, a5, 16
    esp.lp.setup 0, a4, 2f
    esp.vld.128.ip q1, t3, 16
2:  esp.vmulas.s8.xacc.ld.ip q0, a5, 16, q0, q1
    addi a5, a5, -16
    addi a3, a3, -1
    mv t4, a5
    mv t5, t3
    bnez a3, 1b
    li a4, 7
    esp.srs.s.xacc a5, a4
    sb a5, 0(a2)
    li a0, 0
    ret
"""
# a0 x, a1 y, a2 result, a3 n
_DOT_FLOAT = """
.option norvc
.text
.global loop
loop:
    fmv.w.x fa0, zero
    .balign 4
    esp.lp.setup 0, a3, 1f
    flw ft0, 0(a0)
    flw ft1, 0(a1)
    addi a0, a0, 4
    addi a1, a1, 4
1:  fmadd.s fa0, ft0, ft1, fa0
    fsw fa0, 0(a2)
    li a0, 0
    ret
"""
# a0 A [16][16], a1 B [16][16], a2 C, a3 rows, a4 bytes of a row of B; s16
_MATRIX_S16 = """
.option norvc
.text
.global loop
loop:
    addi sp, sp, -16
    sw s0, 0(sp)
    sw s1, 4(sp)
    sw s8, 8(sp)
    li t5, 15
    li t6, 15
1:  li s8, 2
    mv s1, a1
2:  mv a5, a0
    mv t3, s1
    esp.zero.qacc
    esp.vldbc.16.ip q0, a5, 2
    esp.vld.128.xp q1, t3, a4
    .balign 4
    esp.lp.setup 0, t5, 3f
    esp.vmulas.s16.qacc.ldbc.incp q0, a5, q0, q1
3:  esp.vld.128.xp q1, t3, a4
    esp.vmulas.s16.qacc q0, q1
    esp.srcmb.s16.qacc q2, t6, 0
    esp.vst.128.ip q2, a2, 16
    addi s1, s1, 16
    addi s8, s8, -1
    bnez s8, 2b
    add a0, a0, a4
    addi a3, a3, -1
    bnez a3, 1b
    lw s0, 0(sp)
    lw s1, 4(sp)
    lw s8, 8(sp)
    addi sp, sp, 16
    li a0, 0
    ret
"""
_WORK = ((32 * KB, "SRAM"), (32 * KB, "SRAM"), (KB, "SRAM"))
_KERNELS = [
    _matrix_vector(256, 256, 17448),
    _matrix_vector(256, 512, 48249),
    _matrix_vector(512, 256, 50400),
    _matrix_vector(768, 256, 75575),
    _matrix_vector(140, 512, 20568),
    Loop("esp32p4", "dotprod_s16, n = 256", "call", _DOT_S16, 1, 208, "esp-dsp", _WORK, (32,), False),
    Loop("esp32p4", "dspi_dotprod_s8 16 x 16", "call", _DOT_IMAGE, 1, 225, "esp-dsp", _WORK, (16, 1), False),
    Loop("esp32p4", "dspi_dotprod_s8 64 x 64", "call", _DOT_IMAGE, 1, 1662, "esp-dsp", _WORK, (64, 4), False),
    Loop("esp32p4", "mult_s16 16 x 16 x 16", "call", _MATRIX_S16, 1, 2138, "esp-dsp", _WORK, (16, 32), False),
    Loop("esp32p4", "dotprod_f32, n = 256", "call", _DOT_FLOAT, 1, 1319, "esp-dsp", _WORK, (256,), False),
]

_BLOCK = 256 * KB
_COPY_TRIPS = 4096  # the loop counter has 12 bits


def _external(
    target: str, name: str, text: str, trips: int, measured: float, memories: tuple[str, str]
) -> Loop:
    """Streams through external memory: cold caches, 16 bytes (or twice 16) an iteration."""
    buffers = ((_BLOCK, memories[0]), (_BLOCK, memories[1]), (KB, "SRAM"))
    rounds = _BLOCK // 16 // trips
    return Loop(
        target, name, "iteration", text, trips * rounds, measured, "tops", buffers, (rounds,), False, False
    )


def _continuing(text: str) -> str:
    """The streams go on in the next round instead of starting again."""
    lines = text.splitlines()
    moves = [
        line for line in lines if line.removeprefix("1: ").startswith(("mv a4", "mv a5", "mov a6", "mov a7"))
    ]
    first = min(lines.index(line) for line in moves)
    rest = [line for line in lines if line not in moves]
    rest[first:first] = [line.removeprefix("1: ") for line in moves]
    at = first + len(moves)
    rest[at] = "1: " + rest[at]
    return "\n".join([*rest, ""])


def _megabytes(rate: float, clock: float, size: int = 16) -> float:
    """Cycles per `size` bytes at a rate in 10^6 bytes a second."""
    return size * clock / rate


_COPY_P4 = _continuing(_p4("esp.vld.128.ip q0, a4, 16\nesp.vst.128.ip q0, a5, 16", 2048))
_COPY_S3 = _continuing(_s3("ee.vld.128.ip q0, a6, 16\nee.vst.128.ip q0, a7, 16", 2048))
_DOT_P4 = _continuing(
    _p4("esp.vld.128.ip q0, a4, 16\nesp.vld.128.ip q1, a5, 16\nesp.vmulas.s8.xacc q0, q1", 2048)
)
_DOT_S3 = _continuing(
    _s3("ee.vld.128.ip q0, a6, 16\nee.vld.128.ip q1, a7, 16\nee.vmulas.s8.accx q0, q1", 2048)
)
_MEMORIES = [
    _external("esp32p4", "int8 dot, both operands in PSRAM", _DOT_P4, 2048, 72.045, ("PSRAM", "PSRAM")),
    _external("esp32p4", "copy SRAM to PSRAM", _COPY_P4, 2048, _megabytes(137.5, 360), ("SRAM", "PSRAM")),
    _external("esp32p4", "copy PSRAM to SRAM", _COPY_P4, 2048, _megabytes(157.3, 360), ("PSRAM", "SRAM")),
    _external("esp32p4", "copy PSRAM to PSRAM", _COPY_P4, 2048, _megabytes(60.9, 360), ("PSRAM", "PSRAM")),
    _external("esp32s3", "int8 dot, both operands in PSRAM", _DOT_S3, 2048, 278.261, ("PSRAM", "PSRAM")),
    _external("esp32s3", "copy PSRAM to SRAM", _COPY_S3, 2048, _megabytes(27.4, 240), ("PSRAM", "SRAM")),
    _external("esp32s3", "copy SRAM to PSRAM", _COPY_S3, 2048, _megabytes(14.5, 240), ("SRAM", "PSRAM")),
    Loop(
        "esp32s3",
        "PSRAM reads, 32-byte cache line",
        "16 bytes",
        _continuing(_s3("ee.vld.128.ip q0, a6, 16", 2048)),
        _BLOCK // 16,
        _megabytes(58, 240),
        "memorycopy",
        ((_BLOCK, "PSRAM"), (KB, "SRAM"), (KB, "SRAM")),
        (_BLOCK // 16 // 2048,),
        is_microloop=False,
        warm=False,
        note="octal PSRAM; the other rows are of a board with quad PSRAM",
    ),
]

# Published measurements of kernels whose source is other projects': nothing of ours to rerun.
NOT_RERUN = {
    "esp32p4": (
        "esp-dsp fft2r_sc16, fft2r_fc32, biquad_f32, mult_f32, dspi_dotprod_off_s8, dspi_dotprod_s16",
        "esp-nn layers and models (elementwise_add, conv, dwconv, pools, fully_connected, softmax, person_detection)",
        "mcu-inference-bench memcpy rates and pointer chases (25, 37.5, 288, 392 ns): loop bodies not published",
        "two-core scaling (one core is simulated)",
    ),
    "esp32s3": (
        "esp-dsp and esp-nn kernels",
        "copies of IRAM to IRAM by project-x51/esp32-s3-memorycopy: loop body not published",
    ),
}

LOOPS: tuple[Loop, ...] = (*_BENCHMARK, *_BRANCHES, *_KERNELS, *_MEMORIES)
