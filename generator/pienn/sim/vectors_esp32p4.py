"""Golden vectors of the ESP32-P4, run on both encodings (chip revisions 1 and 3) where a record has both."""

from __future__ import annotations

import functools

import numpy as np

from pienn.isa.assembler import assemble
from pienn.isa.table import load
from pienn.sim.abi_esp32p4 import X_NAMES
from pienn.sim.machine import Machine
from pienn.sim.memory_map import Region
from pienn.sim.native import Check, Permission, Stop
from pienn.sim.vectors import Outcome

CODE = 0x4FF0_0000
PAGE = 4096
TRUSTED = ("hw", "base-hw")


@functools.lru_cache(maxsize=2)
def _machine(revision: int) -> Machine:
    return Machine("esp32p4", revision, checks=Check(0))


def _map(machine: Machine, address: int, size: int) -> None:
    """Vectors name addresses of their own choice: map the pages they touch."""
    for page in range(address // PAGE, (address + size - 1) // PAGE + 1):
        if machine.region_name(page * PAGE) is None:
            machine.map(Region(f"page {page:#x}", "SRAM", page * PAGE, PAGE, Permission(7)))


def _run(machine: Machine, code: bytes, count: int) -> list[str]:
    """Execute the bytes as `count` instructions; a stop is a difference."""
    machine.write(CODE, code)
    machine.pc = CODE
    reason = machine.run(count, Check(0))
    if reason != Stop.LIMIT:
        return [str(machine.stop_error(reason))]
    return []


def run_sequence(record: dict) -> Outcome:
    """A sequence that passed on a board: x registers, memory and all PIE state afterwards."""
    if not record["confidence"].startswith("hw"):
        return Outcome(record["check"], None, str(record["id"]))
    differences: list[str] = []
    for revision, key in ((1, "bytes_2p1"), (3, "bytes_2p2")):
        words = record[key]
        if words is None or any(word is None for word in words):
            continue
        machine = _machine(revision)
        _set_everything(machine, record["before"])
        x = machine.state("x")
        x[:] = 0
        for name, value in record["x_before"].items():
            x[X_NAMES.index(name)] = value & 0xFFFF_FFFF
        for piece in record["mem_before"]:
            data = bytes.fromhex(piece["hex"])
            _map(machine, piece["addr"], len(data))
            machine.write(piece["addr"], data)
        code = b"".join(bytes.fromhex(word) for word in words)
        found = _run(machine, code, len(words)) + _compare_everything(machine, record["after"])
        for name, value in record["x_after"].items():
            got = int(x[X_NAMES.index(name)])
            if got != value & 0xFFFF_FFFF:
                found.append(f"{name} {got:#x} instead of {value & 0xFFFFFFFF:#x}")
        for piece in record["mem_after"]:
            got_bytes = machine.read(piece["addr"], len(piece["hex"]) // 2).hex()
            if got_bytes != piece["hex"]:
                found.append(f"memory {piece['addr']:#x} {got_bytes} instead of {piece['hex']}")
        differences += [f"revision {revision}: {text}" for text in found]
    return Outcome(record["check"], differences, f"id {record['id']}")


_SCALARS = {"sar": "sar", "sar_byte": "sar_byte", "cfg": "cfg", "fft_bw": "fft_bit_width"}


def _set_everything(machine: Machine, state: dict) -> None:
    for index, text in enumerate(state["q"]):
        machine.state("q")[index] = np.frombuffer(bytes.fromhex(text), np.uint8)
    machine.state("qacc")[:] = np.frombuffer(bytes.fromhex(state["qacc"]), np.uint8)
    machine.state("xacc")[0] = int(state["xacc"], 16)
    for key, name in _SCALARS.items():
        machine.state(name)[0] = state[key]
    if "ua_state" in state:
        machine.state("ua_state")[:] = np.frombuffer(bytes.fromhex(state["ua_state"]), np.uint8)


def _compare_everything(machine: Machine, state: dict) -> list[str]:
    differences: list[str] = []
    for index, text in enumerate(state["q"]):
        got = machine.state("q")[index].tobytes().hex()
        if got != text:
            differences.append(f"q{index} {got} instead of {text}")
    got = machine.state("qacc").tobytes().hex()
    if got != state["qacc"]:
        differences.append(f"QACC {got} instead of {state['qacc']}")
    xacc = int(state["xacc"], 16)
    if int(machine.state("xacc")[0]) != xacc:
        differences.append(f"XACC {int(machine.state('xacc')[0]):#x} instead of {xacc:#x}")
    for key, name in _SCALARS.items():
        if int(machine.state(name)[0]) != state[key]:
            differences.append(f"{name} {int(machine.state(name)[0])} instead of {state[key]}")
    return differences


_NAMES = {
    "QACC": "qacc",
    "XACC": "xacc",
    "SAR": "sar",
    "SAR_BYTE": "sar_byte",
    "CFG": "cfg",
    "FFT_BIT_WIDTH": "fft_bit_width",
    "UA_STATE": "ua_state",
    "PERF": "perf",
}


def run_single(record: dict) -> Outcome:
    """One instruction with the state that it uses before and what changed."""
    mnemonic = record["mn"]
    if not record["conf"].startswith(TRUSTED):
        return Outcome(mnemonic, None, record["asm"])
    differences: list[str] = []
    for revision, key in ((1, "w2p1"), (3, "w2p2")):
        if not record.get(key):
            continue
        machine = _machine(revision)
        values = {_register(name): _value(value) for name, value in record["before"].items()}
        for name in ("sar", "sar_byte", "cfg", "fft_bit_width"):
            machine.state(name)[0] = 0
        for name, value in values.items():
            machine.set_register(name, value)
        memory = record.get("mem")
        address, before = (_value(memory["addr"]), bytes.fromhex(memory["before"])) if memory else (0, b"")
        if memory:
            _map(machine, address, len(before))
            machine.write(address, before)
        kept = machine.state("x").copy(), machine.state("q").copy()
        found = _run(machine, int(record[key], 16).to_bytes(4, "little"), 1)
        after = {_register(name): _value(value) for name, value in record["after"].items()}
        expected = {f"x{i}": int(v) for i, v in enumerate(kept[0])}
        expected |= {f"q{i}": int.from_bytes(v.tobytes(), "little") for i, v in enumerate(kept[1])}
        for name, value in (expected | values | after).items():
            got = machine.register(name)
            if got != value:
                found.append(f"{name} {got:#x} instead of {value:#x}")
        if memory:
            wanted = memory.get("after", memory["before"])
            got_bytes = machine.read(address, len(before)).hex()
            if got_bytes != wanted:
                found.append(f"memory {got_bytes} instead of {wanted}")
        differences += [f"revision {revision}: {text}" for text in found]
    return Outcome(mnemonic, differences, record["asm"])


TEXT_REVISIONS = {"xespv2p1": (1,), "xespv2p2": (3,), "xesploop": (1, 3)}


def run_text(record: dict) -> Outcome:
    """A statement with its bytes: they decode to its mnemonic and, for kind `assemble`, are what the assembler makes.

    Statements in the immediate scaling of early assemblers are skipped.
    """
    isa = load("esp32p4")
    mnemonic = record["text"].split()[0]
    revisions = TEXT_REVISIONS.get(record["isa"])
    if revisions is None:
        return Outcome(mnemonic, None, record["text"])
    data = bytes.fromhex(record["bytes"])
    differences: list[str] = []
    for revision in revisions:
        decoded = isa.decode(data, revision=revision)
        wanted = isa.find(mnemonic, revision)
        if decoded is None or decoded[0] is not wanted:
            differences.append(
                f"{data.hex()} is {decoded[0].mnemonic if decoded else 'unknown'} on revision {revision}"
            )
        if record["kind"] == "assemble":
            made = assemble(f".option norvc\n{record['text']}\n", "esp32p4", revision).flat()
            if made != data:
                differences.append(
                    f"assembled to {made.hex()} on revision {revision} instead of {data.hex()}"
                )
    return Outcome(mnemonic, differences, record["text"])


def _register(name: str) -> str:
    if name in X_NAMES:
        return f"x{X_NAMES.index(name)}"
    return _NAMES.get(name, name)


def _value(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return int(value, 16) if value.startswith("0x") else int.from_bytes(bytes.fromhex(value), "little")
