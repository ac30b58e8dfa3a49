"""Golden vectors of the ESP32-S3: one PIE instruction with the state it uses before and after."""

from __future__ import annotations

import functools

import numpy as np

from pienn.sim.machine import Machine
from pienn.sim.memory_map import Region
from pienn.sim.native import Check, Permission, Stop
from pienn.sim.vectors import Outcome

CODE = 0x4037_0000
PAGE = 4096
QACC_HALF = 20  # bytes of QACC_L, and of QACC_H behind it
SCALARS = {
    "SAR": "sar",
    "SAR_BYTE": "sar_byte",
    "FFT_BIT_WIDTH": "fft_bit_width",
    "GPIO_OUT": "gpio_out",
    "ACCX": "accx",
}
# Everything that an instruction could change: what a record does not list must stay as it is.
STATE = (
    *(f"q{i}" for i in range(8)),
    *(f"a{i}" for i in range(16)),
    *(f"f{i}" for i in range(16)),
    *SCALARS,
    "UA_STATE",
    "QACC_L",
    "QACC_H",
)


@functools.lru_cache(maxsize=1)
def _machine() -> Machine:
    return Machine("esp32s3", checks=Check(0))


def run_single(record: dict) -> Outcome:
    """Execute the record's bytes on its state and compare all registers and the memory window."""
    if record["conf"] == "unspecified":
        return Outcome(record["mn"], None, record["id"])
    machine = _machine()
    for name, value in record["before"].items():
        put(machine, name, value)
    memory = record.get("mem", {})
    address, before = int(memory.get("addr", "0"), 16), bytes.fromhex(memory.get("before", ""))
    if memory:
        _map(machine, address, len(before))
        machine.write(address, before)
    expected = {name: get(machine, name) for name in STATE}
    expected |= {name: _normal(value) for name, value in record["after"].items()}
    differences = execute(machine, bytes.fromhex(record["bytes"]))
    for name, value in expected.items():
        got = get(machine, name)
        if got != value:
            differences.append(f"{name} {got} instead of {value}")
    if memory:
        wanted = memory.get("after", memory["before"])
        content = machine.read(address, len(before)).hex()
        if content != wanted:
            differences.append(f"memory {content} instead of {wanted}")
    return Outcome(record["mn"], differences, f"{record['id']} ({record['asm']})")


def execute(machine: Machine, code: bytes, count: int = 1) -> list[str]:
    """Run the bytes as `count` instructions; a stop is a difference."""
    machine.write(CODE, code)
    machine.pc = CODE
    reason = machine.run(count, Check(0))
    return [] if reason == Stop.LIMIT else [str(machine.stop_error(reason))]


def put(machine: Machine, name: str, value: str) -> None:
    """Set a register to a value as the records write it: hex bytes (lane 0 first) or a 0x integer."""
    view = _view(machine, name)
    if view.dtype == np.uint8:
        view[:] = np.frombuffer(bytes.fromhex(value), np.uint8)
    else:
        view[0] = int(value, 16)


def get(machine: Machine, name: str) -> str:
    """The value in the same form."""
    view = _view(machine, name)
    return view.tobytes().hex() if view.dtype == np.uint8 else hex(int(view[0]))


def _view(machine: Machine, name: str) -> np.ndarray:
    if name in SCALARS:
        return machine.state(SCALARS[name])
    if name == "UA_STATE":
        return machine.state("ua_state").reshape(-1)
    if name.startswith("QACC"):
        start = QACC_HALF if name == "QACC_H" else 0
        return machine.state("qacc").reshape(-1)[start : start + QACC_HALF]
    number = int(name[1:])
    return machine.state("q")[number] if name[0] == "q" else machine.state(name[0])[number : number + 1]


def _normal(value: str) -> str:
    return hex(int(value, 16)) if value.startswith("0x") else value


def _map(machine: Machine, address: int, size: int) -> None:
    """Records name addresses of their own choice: map the pages they touch."""
    for page in range(address // PAGE, (address + size - 1) // PAGE + 1):
        if machine.region_name(page * PAGE) is None:
            machine.map(Region(f"page {page:#x}", "SRAM", page * PAGE, PAGE, Permission(7)))
