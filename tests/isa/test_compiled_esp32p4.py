"""Assembly that GCC writes for whole C files gives the bytes that GNU as gives."""

import subprocess
from pathlib import Path

import pytest

from pienn.isa.assembler import assemble

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = r"""
#include <stdint.h>
#include <string.h>
struct point { float x, y; int8_t tag; uint16_t id; };
static struct point points[20];
static const char *const names[] = {"one", "two\n", "three \"3\"", "\x01\x02"};
double scale = 1.25;
extern int missing(const char *, ...);
__attribute__((weak)) int optional(int x) { return x; }
float norm(const struct point *p, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) sum += p[i].x * p[i].x + p[i].y * __builtin_fabsf(p[i].y);
    return __builtin_sqrtf(sum) / (float)count;
}
int dispatch(unsigned kind, int64_t wide, uint8_t *bytes) {
    switch (kind) {
    case 0: return (int)(wide >> 7);
    case 1: return missing(names[bytes[0] & 3]);
    case 2: memset(bytes, 3, 200); return optional(5);
    case 3: return bytes[4095] + (int)(wide % 1000003);
    case 4: points[bytes[1] % 20].id = (uint16_t)kind; return 7;
    case 5: return (int)(scale * wide);
    default: return __builtin_clz(kind) + 0x12345678;
    }
}
void copy(int32_t *to, const int8_t *from, int n) { for (int i = 0; i < n; i++) to[i] = from[i] * 3 - (n > 900); }
"""


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O2", "-O3 -funroll-loops"])
@pytest.mark.parametrize("source", ["program", "conv2d_s8", "lut_s8"])
def test_compiler_output_has_the_bytes_of_gnu_as(source: str, level: str, tool, tmp_path: Path) -> None:
    def run(program: str, *arguments: str) -> None:
        subprocess.run([tool(f"riscv64-unknown-elf-{program}"), *arguments], cwd=tmp_path, check=True)

    (tmp_path / "program.c").write_text(PROGRAM)
    path = tmp_path / "program.c" if source == "program" else ROOT / "src_ref" / f"{source}.c"
    machine = ["-march=rv32imafc_zicsr_zifencei", "-mabi=ilp32f"]
    include = [f"-I{ROOT / 'include'}", f"-I{ROOT / 'src_ref'}", "--specs=picolibc.specs"]
    run("gcc", "-S", "-w", *level.split(), *machine, *include, str(path), "-o", "a.s")
    run("as", "-mno-relax", *machine, "a.s", "-o", "a.o")
    object_ = assemble(tmp_path / "a.s", "esp32p4", 1)
    for section in object_.sections.values():
        if not section.data or "a" not in section.flags:
            continue
        (tmp_path / "a.bin").unlink(missing_ok=True)
        run("objcopy", "-O", "binary", "-j", section.name, "a.o", "a.bin")
        assert (tmp_path / "a.bin").read_bytes() == section.data, section.name
    assert object_.sections[".text"].data
