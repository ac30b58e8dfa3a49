"""Filling in RISC-V relocations at known addresses."""

from __future__ import annotations

from collections.abc import Callable

from pienn.isa.riscv_branches import high_part, low_part
from pienn.isa.table import Isa


def apply(
    isa: Isa,
    revision: int | None,
    kind: str,
    data: bytearray,
    offset: int,
    place: int,
    value: int,
    find: Callable[[int], int | None],
) -> str | None:
    """See Target.apply."""
    if kind in ("R_RISCV_32", "R_RISCV_64"):
        width = 4 if kind == "R_RISCV_32" else 8
        data[offset : offset + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
        return None
    if kind.startswith(("R_RISCV_ADD", "R_RISCV_SUB")):
        width = int(kind[11:]) // 8
        old = int.from_bytes(data[offset : offset + width], "little")
        new = old + value if kind[8:11] == "ADD" else old - value
        data[offset : offset + width] = (new % (1 << 8 * width)).to_bytes(width, "little")
        return None
    distance = value - place
    if kind in ("R_RISCV_PCREL_LO12_I", "R_RISCV_PCREL_LO12_S"):
        upper = find(value)
        if upper is None:
            return "%pcrel_lo needs the label of an auipc with %pcrel_hi"
        distance = upper - value
    if kind == "R_RISCV_CALL_PLT":
        _set(isa, revision, data, offset, {"imm": high_part(distance)})
        _set(isa, revision, data, offset + 4, {"imm": low_part(distance)})
    elif kind == "R_RISCV_HI20":
        _set(isa, revision, data, offset, {"imm": high_part(value)})
    elif kind == "R_RISCV_PCREL_HI20":
        _set(isa, revision, data, offset, {"imm": high_part(distance)})
    elif kind in ("R_RISCV_LO12_I", "R_RISCV_LO12_S"):
        _set(isa, revision, data, offset, {"imm": low_part(value)})
    elif kind in ("R_RISCV_PCREL_LO12_I", "R_RISCV_PCREL_LO12_S"):
        _set(isa, revision, data, offset, {"imm": low_part(distance)})
    elif kind in ("R_RISCV_BRANCH", "R_RISCV_JAL", "R_RISCV_RVC_BRANCH", "R_RISCV_RVC_JUMP"):
        found = isa.decode(bytes(data), offset, revision)
        assert found is not None
        limits = found[0].operand("offset")
        if not limits.allows(distance):
            return (
                f"{found[0].mnemonic}: the target is {distance} bytes away, allowed: {limits.limits()}; "
                "place the sections nearer or use call"
            )
        _set(isa, revision, data, offset, {"offset": distance})
    else:
        return f"relocation {kind} is unknown"
    return None


def _set(isa: Isa, revision: int | None, data: bytearray, offset: int, changes: dict[str, int]) -> None:
    """Re-encode the instruction at `offset` with other operand values."""
    found = isa.decode(bytes(data), offset, revision)
    assert found is not None
    instruction, values = found
    encoded = isa.encode_instruction(instruction, {**values, **changes}, revision)
    data[offset : offset + len(encoded)] = encoded
