"""How the C core is built: warnings, cache, and refusals in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pienn.errors import PiennError
from pienn.isa import table
from pienn.sim import build

WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-O1"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_core_compiles_without_warnings(compiler: str, tool, tmp_path: Path) -> None:
    have = [f"-DHAVE_{target.upper()}" for target in build.targets()]
    for name in ("sim", "memory", "decode"):
        source = build.ENGINE / f"{name}.c"
        subprocess.run([tool(compiler), *WARNINGS, "-Wconversion", *have, str(source)], check=True)
    for target in build.targets():
        (tmp_path / f"tables_{target}.h").write_text(build.tables(target))
        engine = build.ENGINE / f"{target}_engine.c"
        for checked in (0, 1):
            options = [f"-DCHECKED={checked}", f"-I{tmp_path}"]
            subprocess.run([tool(compiler), *WARNINGS, *options, str(engine)], check=True)


def test_the_core_is_formatted(checkout: Path) -> None:
    program = Path(sys.executable).with_name(
        "clang-format"
    )  # the pinned version; others break lines elsewhere
    if not program.exists():
        pytest.skip("clang-format of the development tools is not installed")
    files = sorted(str(p) for p in build.ENGINE.iterdir() if p.suffix in (".c", ".h", ".inc"))
    subprocess.run([str(program), "--dry-run", "-Werror", *files], check=True, cwd=checkout)


def test_a_missing_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIENN_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(PiennError, match=r"needs a C compiler once.*set CC"):
        build.library()


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIENN_CACHE", str(tmp_path))
    monkeypatch.setenv("CFLAGS", "-Dinline=nonsense")
    with pytest.raises(PiennError, match="building the simulator core failed") as caught:
        build._object(build._Unit(build.ENGINE / "memory.c", ()))
    assert "\n" not in str(caught.value)


def test_an_unchanged_unit_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIENN_CACHE", str(tmp_path))
    unit = build._Unit(build.ENGINE / "memory.c", ())
    first = build._object(unit)
    stamp = first.stat().st_mtime_ns
    assert build._object(unit) == first
    assert first.stat().st_mtime_ns == stamp
    assert build._object(build._Unit(build.ENGINE / "memory.c", ("-DOTHER",))) != first


def test_a_meaning_that_differs_from_the_table_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meanings = build.implemented("esp32p4")
    monkeypatch.setattr(build, "implemented", lambda _: {**meanings, "add": ["rd", "rs2", "rs1"]})
    with pytest.raises(PiennError, match=r"add: operands in C \['rd', 'rs2', 'rs1'\] differ"):
        build.tables("esp32p4")
    monkeypatch.setattr(build, "implemented", lambda _: {**meanings, "added": []})
    with pytest.raises(PiennError, match="added has a meaning in C but is not in the instruction table"):
        build.tables("esp32p4")


@pytest.mark.parametrize("target", table.TARGETS)
def test_the_core_decodes_like_the_table(target: str) -> None:
    """Random words: the C decoder and the Python decoder agree on mnemonic and operands."""
    import ctypes

    import numpy as np

    from pienn.sim.native import CHIPS, core

    isa = table.load(target)
    chip = CHIPS[target]
    random = np.random.default_rng(1)
    for revision in isa.revisions:
        handle = core().sim_new(chip, revision or 3)
        values, length = (ctypes.c_int32 * 16)(), ctypes.c_int()
        for number in range(4000):
            data = random.integers(0, 256, 4, dtype=np.uint8).tobytes()
            if number % 2:  # half of the words near a real instruction
                instruction = list(isa.instructions.values())[number % len(isa.instructions)]
                encoding = instruction.encodings[-1]
                word = (int.from_bytes(data, "little") & ~encoding.mask) | encoding.match
                data = (word & 0xFFFFFFFF).to_bytes(4, "little")
            pc = 4 * number
            operation = core().sim_decode(handle, data, pc, values, ctypes.byref(length))
            found = isa.decode_encoding(data, revision=revision, pc=pc)
            if found is None:
                assert operation == -1, data.hex()
                continue
            mnemonic, wanted = found[0].mnemonic, found[2]
            if core().sim_mnemonic(chip, operation).decode() != mnemonic:
                mnemonic, wanted = found[0].expand(wanted)
            assert core().sim_mnemonic(chip, operation).decode() == mnemonic, data.hex()
            assert length.value == found[1].length
            for index, operand in enumerate(isa[mnemonic].operands):
                assert values[index] == wanted.get(operand.name, operand.default), (
                    data.hex(),
                    operand.name,
                )
        core().sim_free(handle)
