"""Whole windowed ESP32-S3 programs, compiled by xtensa-lx106-elf-gcc -mabi=windowed, against the host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pienn.errors import PiennError
from pienn.sim.commands import sim
from pienn.sim.compile_esp32s3 import COMPILER, build_program
from pienn.sim.programs import Console, Ended, run_program

SOURCE = Path(__file__).with_name("programs.c")


def run_source(tool, folder: Path, text: str, *options: str, given: bytes = b"") -> Ended:
    tool(COMPILER)
    source = folder / "program.c"
    source.write_text(text)
    program = folder / "program.elf"
    program.write_bytes(build_program([source], options or ("-O2",)))
    return run_program(program, "esp32s3", console=Console(input=given))


def host_output(tool, folder: Path, source: Path) -> tuple[bytes, int]:
    program = folder / "host"
    subprocess.run(
        [tool("gcc"), "-O1", "-w", "-ffp-contract=off", str(source), "-o", str(program), "-lm"], check=True
    )
    done = subprocess.run([str(program)], capture_output=True)
    return done.stdout, done.returncode


@pytest.mark.parametrize("option", ["-O0", "-O2"])
def test_sorting_hashing_floats_and_printf_print_what_the_host_prints(
    option: str, tool, tmp_path: Path
) -> None:
    tool(COMPILER)
    wanted, exit_code = host_output(tool, tmp_path, SOURCE)
    program = tmp_path / "program.elf"
    program.write_bytes(build_program([SOURCE], [option]))
    ended = run_program(program, "esp32s3", memory="esp32s3@240", console=Console())
    assert ended.output.decode() == wanted.decode()
    assert ended.exit_code == exit_code == 42
    assert ended.cycles > ended.instructions > 1_000_000


FORMATS = """
#include <stdio.h>
#include <string.h>
static unsigned long long state = SEED;
static unsigned long long next(void) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state;
}
static double next_double(int i) {
    unsigned long long bits = next();
    double value;
    if (i % 3 == 0)
        bits = (bits & 0x800fffffffffffffull) | (unsigned long long)(1000 + i % 40) << 52;
    memcpy(&value, &bits, 8);
    return value;
}
int main(void) {
    for (int i = 0; i < 250; i++) {
        double x = next_double(i), y = next_double(i + i % 2);
        printf("%e %g %.3f|%+.0e|%#g|%12.4g|%-14.6e|", x, x, x * 1e-200, x, x, y, y);
        printf("%.17g %.17g %.17g %.17g ", x + y, x - y * 3, x * y, x / y);
        printf("%d %d %d %.9g\\n", x < y, x >= y, x == y, (double)(float)x);
        unsigned long long a = next(), b = (next() >> i % 64) | 1;
        long long c = (long long)next() >> i % 32, d = ((long long)next() >> i % 61) | 1;
        printf("%llu %llx %lld %lld %.17g\\n", a / b, a % b, c / d, c % d, (double)c);
    }
    return 0;
}
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_double_arithmetic_and_its_printing_equal_the_host(seed: int, tool, tmp_path: Path) -> None:
    """Random bit patterns: also subnormals, infinities, not-a-number (whose sign is not compared)."""
    ended = run_source(tool, tmp_path, FORMATS.replace("SEED", str(seed)))
    wanted, _ = host_output(tool, tmp_path, tmp_path / "program.c")
    ours, host = (
        text.decode().replace("-nan", "nan").replace("+nan", "nan").split("\n")
        for text in (ended.output, wanted)
    )
    for number, (a, b) in enumerate(zip(ours, host, strict=True)):
        assert a.split() == b.split(), f"line {number}"


def test_the_command_builds_and_runs(tool, tmp_path: Path) -> None:
    tool(COMPILER)
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n')
    program = tmp_path / "hello.elf"
    built = CliRunner().invoke(sim, ["build", str(source), "-o", str(program)])
    assert built.exit_code == 0, built.output
    result = CliRunner().invoke(sim, ["run", str(program), "--target", "esp32s3"])
    assert (result.output, result.exit_code) == ("hello\n", 3)


def test_the_cycle_counter_counts(tool, tmp_path: Path) -> None:
    text = """
    unsigned cycles(void);
    int main(void) {
        unsigned before = cycles();
        for (volatile int i = 0; i < 100; i++) {}
        unsigned after = cycles();
        return after - before > 300 && after - before < 2000 ? 0 : 1;
    }"""
    tool(COMPILER)
    (tmp_path / "program.c").write_text(text)
    (tmp_path / "cycles.S").write_text(
        ".text\n.global cycles\n.align 4\ncycles: entry a1, 32\nrsr.ccount a2\nretw\n"
    )
    program = tmp_path / "program.elf"
    program.write_bytes(build_program([tmp_path / "program.c", tmp_path / "cycles.S"]))
    assert run_program(program, console=Console()).exit_code == 0


def test_deep_recursion_with_stack_arrays(tool, tmp_path: Path) -> None:
    text = """
    #include <stdio.h>
    static int walk(int n, int *sum) {
        int local[6];
        for (int i = 0; i < 6; i++) local[i] = n * i;
        if (n) walk(n - 1, sum);
        for (int i = 0; i < 6; i++) *sum += local[i];
        return *sum;
    }
    int main(void) { int sum = 0; printf("%d\\n", walk(300, &sum)); return 0; }
    """
    ended = run_source(tool, tmp_path, text)
    assert ended.output.decode() == f"{sum(n * i for n in range(301) for i in range(6))}\n"


def test_a_moved_stack_pointer_takes_the_spilled_frame_along(tool, tmp_path: Path) -> None:
    """alloca makes `movsp`: with the caller's registers on the stack its save area has to move, too."""
    text = """
    #include <stdio.h>
    static int fill(signed char *at, int n) {
        for (int i = 0; i < n; i++) at[i] = (signed char)(n + i);
        return at[n / 2];
    }
    static int walk(int n, int seed) {
        if (!n) return seed;
        int inner = walk(n - 1, seed * 3 + n);
        signed char *block = __builtin_alloca(16 + n * 8);
        int middle = fill(block, 16 + n * 8), again = walk(n / 2, inner);
        return middle + block[1] + again * 5 + inner;
    }
    int main(void) { printf("%u\\n", (unsigned)walk(14, 1)); return 0; }
    """
    ended = run_source(tool, tmp_path, text)
    wanted, _ = host_output(tool, tmp_path, tmp_path / "program.c")
    assert ended.output == wanted


def test_standard_input_is_the_console(tool, tmp_path: Path) -> None:
    text = "#include <stdio.h>\nint main(void) { int c = getchar(); return c == 'x' && getchar() == EOF ? 0 : 1; }\n"
    assert run_source(tool, tmp_path, text, given=b"x").exit_code == 0


def test_single_precision_operations_round_correctly(tool, tmp_path: Path) -> None:
    """sqrtf and division are step sequences of the FPU, the others single instructions."""
    random = np.random.default_rng(9)
    values = random.integers(0, 1 << 32, 400, dtype=np.uint32)
    values = values[np.isfinite(values.view(np.float32))][:300]
    text = """
    #include <stdio.h>
    #include <math.h>
    static const unsigned values[] = {VALUES};
    static float get(int i) { union { unsigned u; float f; } v = {values[i]}; return v.f; }
    static unsigned bits(float f) { union { float f; unsigned u; } v = {f}; return v.u; }
    int main(void) {
        for (int i = 0; i + 1 < COUNT; i++) {
            float x = get(i), y = get(i + 1);
            printf("%08x %08x %08x ", bits(x + y), bits(x - y), bits(x * y));
            printf("%08x %08x\\n", bits(x / y), bits(sqrtf(fabsf(x))));
        }
        return 0;
    }
    """
    text = text.replace("VALUES", ", ".join(f"{v}u" for v in values)).replace("COUNT", str(len(values)))
    lines = run_source(tool, tmp_path, text).output.decode().split("\n")[:-1]
    x, y = values.view(np.float32)[:-1], values.view(np.float32)[1:]
    with np.errstate(all="ignore"):
        wanted = [x + y, x - y, x * y, x / y, np.sqrt(np.abs(x))]
    for index, line in enumerate(lines):
        expected = " ".join(f"{w.view(np.uint32)[index]:08x}" for w in wanted)
        assert line == expected, f"{x[index]!r}, {y[index]!r}"


def test_a_mistake_in_the_source_is_one_line(tool, tmp_path: Path) -> None:
    tool(COMPILER)
    source = tmp_path / "bad.c"
    source.write_text("int main(void) { return x; }\n")
    with pytest.raises(PiennError, match=r"bad\.c:1:25: error"):
        build_program([source])
    source.write_text("int missing(void); int main(void) { return missing(); }\n")
    with pytest.raises(PiennError, match="missing"):
        build_program([source])
