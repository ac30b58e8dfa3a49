"""The base instruction set of the ESP32-P4 against an independent executor, qemu-riscv32."""

from __future__ import annotations

import pytest
import random_riscv

from pienn.isa.table import load

QUICK, ALL = 800, 20_000
SEED = 20_260


def test_random_sequences_end_as_in_qemu(tool) -> None:
    assert random_riscv.differences(SEED, 0, QUICK, tool("qemu-riscv32")) == []


@pytest.mark.slow
def test_twenty_thousand_random_sequences_end_as_in_qemu(tool) -> None:
    qemu = tool("qemu-riscv32")
    for first in range(0, ALL, random_riscv.BATCH):
        assert random_riscv.differences(SEED + 1, first, random_riscv.BATCH, qemu) == []


def test_the_sequences_use_the_whole_base_set() -> None:
    used = {i.mnemonic for i in random_riscv.USABLE}
    base = {i.mnemonic for i in load("esp32p4").instructions.values() if not i.mnemonic.startswith("esp.")}
    left_out = {m for m in base - used if not m.startswith(("lr.w", "sc.w"))}
    assert left_out == {
        "c.ebreak", "c.unimp", "c.jr", "c.jalr", "c.nop", "mret", "wfi", "ecall", "ebreak", "fence.i", "jalr",
        "c.lbu", "c.lhu", "c.lh", "c.sb", "c.sh", "c.zext.b", "c.sext.b", "c.zext.h", "c.sext.h", "c.not", "c.mul",
    }  # fmt: skip


def test_a_difference_names_the_command_that_reruns_it(monkeypatch: pytest.MonkeyPatch, tool) -> None:
    def other_start(seed: int, first: int, count: int, made=random_riscv.batch) -> random_riscv.Batch:
        result = made(seed, first, count)
        result.words[1].append(random_riscv.ISA.encode("csrrs", {"rd": 7, "csr": 0xF14, "rs1": 0}))
        result.words[1][-1] = random_riscv.ISA.encode("csrrs", {"rd": 7, "csr": 0xC00, "rs1": 0})
        return result

    monkeypatch.setattr(random_riscv, "batch", other_start)  # a cycle counter never agrees with qemu's
    found = random_riscv.differences(SEED, 0, 3, tool("qemu-riscv32"))
    assert len(found) == 1
    assert f"--seed {SEED} --sequence 1" in found[0]
