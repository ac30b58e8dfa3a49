"""Random base-ISA sequences of the ESP32-S3, executed by qemu-xtensa and by the simulator.

One Linux user-mode ELF holds many sequences. Each loads all registers from its record, executes a random body and
stores every register to the record's result part; at the end the program writes all records to standard output. The
simulator runs the same bytes and stops at the system call.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pienn.isa.table import Instruction, load
from pienn.sim.machine import Machine
from pienn.sim.memory_map import Region
from pienn.sim.native import Check, Permission, Stop

ISA = load("esp32s3")
CPU = "de233_fpu"  # windowed, with booleans, MAC16, DIV32 and the single-precision unit
BASE = 0x1000_0000
HEADER = 0x1000
WRITE, EXIT, STDOUT = 13, 118, 1  # system calls of Linux on Xtensa

SCRATCH = 256  # bytes that loads and stores may touch
RECORD = 512
STATE_AT, RESULT_AT, SCRATCH_AT = (
    0,
    128,
    256,
)  # each part of a record; a15 points at its start
SPECIALS = ("sar", "br", "acclo", "acchi", "m0", "m1", "m2", "m3", "scompare1")
SPECIAL_AT = 60
FLOAT_CONTROL_AT = 100  # rounding mode before, flags after
FLOAT_STATE_AT = SCRATCH_AT + SCRATCH - 64

UNDEFINED = {"msalp32": 32}  # slli by 32 can be encoded but is not defined

# Left out: float steps whose starting values are not published, and what this processor lacks (muluh, mulsh).
ARITHMETIC = (
    "add addi add.n addi.n addmi sub addx2 addx4 addx8 subx2 subx4 subx8 and or xor neg abs salt saltu min max minu "
    "maxu clamps sext nsa nsau mov.n movi movi.n moveqz movnez movltz movgez mul16u mul16s mull ssr ssa8l "
    "ssai sll src srl sra slli srai srli extui andb andbc orb orbc xorb any4 all4 any8 all8 movf movt nop nop.n "
    "rsr.sar rsr.br wsr.br xsr.br rsr.acclo wsr.acclo xsr.acclo rsr.acchi wsr.acchi xsr.acchi "
    "rsr.m0 wsr.m1 xsr.m2 xsr.m3 rsr.scompare1 wsr.scompare1 xsr.scompare1 memw extw isync rsync esync dsync"
).split()
DIVIDE = "quou quos remu rems".split()
MAC16 = [
    name
    for name, i in ISA.instructions.items()
    if i.issue_class == "mac" and not name.endswith(("lddec", "ldinc")) and i.operands
]
MAC16 = [name for name in MAC16 if name.startswith(("mul.", "umul.", "mula.", "muls."))]
MAC16_LOAD = [name for name, i in ISA.instructions.items() if name.endswith(("lddec", "ldinc")) and i.loads]
MEMORY = "l8ui l16ui l16si l32i l32i.n l32ai s8i s16i s32i s32i.n s32ri s32c1i".split()
BRANCH = (
    "beq bne blt bge bltu bgeu bany bnone ball bnall bbc bbs bbci bbsi beqi bnei blti bgei bltui bgeui beqz bnez bltz "
    "bgez beqz.n bnez.n bf bt j"
).split()
LOOP = "loop loopnez loopgtz".split()
FLOAT = (
    "add.s sub.s mul.s madd.s msub.s abs.s neg.s mov.s moveqz.s movnez.s movltz.s movgez.s movf.s movt.s wfr rfr "
    "round.s trunc.s ceil.s floor.s utrunc.s float.s ufloat.s un.s oeq.s ueq.s olt.s ult.s ole.s ule.s const.s"
).split()
# Conversions to integers scale first; qemu raises overflow there, which no document of the chip mentions.
FLAGS_UNKNOWN = ("round.s", "trunc.s", "ceil.s", "floor.s", "utrunc.s")
FLOAT_MEMORY = "lsi ssi lsip ssip".split()


@dataclass
class Program:
    """The bytes at BASE + HEADER, where its records lie and how many there are."""

    code: bytearray
    records_at: int
    count: int
    seeds: list[int]
    starts: list[int]
    texts: list[list[str]]

    @property
    def records(self) -> slice:
        return slice(self.records_at, self.records_at + RECORD * self.count)


def encode(mnemonic: str, pc: int = 0, **values: int) -> bytes:
    return ISA.encode(mnemonic, values, pc=pc)


def _ordered(mnemonic: str, *values: int, pc: int = 0) -> bytes:
    names = [o.name for o in ISA[mnemonic].operands]
    return ISA.encode(mnemonic, dict(zip(names, values, strict=True)), pc=pc)


# A branch that is never taken. qemu keeps BR and m0..m3 under two names each and brings them together only at
# the end of a translated block, so that without it `andb` followed by `rsr.br` would show the old value.
FENCE = _ordered("beqz", 15, 4)


def _has_aliases(instruction: Instruction) -> bool:
    touches = any(o.kind in "bm" for o in instruction.operands)
    return touches or instruction.mnemonic.endswith((".br", ".m0", ".m1", ".m2", ".m3"))


def _prologue() -> bytes:
    code = b""
    for index, name in enumerate(SPECIALS):
        code += _ordered("l32i", 0, 15, SPECIAL_AT + 4 * index) + _ordered(f"wsr.{name}", 0)
    code += _ordered("l32i", 0, 15, FLOAT_CONTROL_AT) + _ordered("wur.fcr", 0)
    code += _ordered("movi", 0, 0) + _ordered("wur.fsr", 0)
    for number in range(16):
        code += _ordered("lsi", number, 15, FLOAT_STATE_AT + 4 * number)
    for number in range(15):
        code += _ordered("l32i", number, 15, STATE_AT + 4 * number)
    return code + FENCE


def _epilogue() -> bytes:
    code = FENCE
    for number in range(15):
        code += _ordered("s32i", number, 15, RESULT_AT + 4 * number)
    for index, name in enumerate(SPECIALS):
        code += _ordered(f"rsr.{name}", 0) + _ordered("s32i", 0, 15, RESULT_AT + SPECIAL_AT + 4 * index)
    code += _ordered("rur.fsr", 0) + _ordered("s32i", 0, 15, RESULT_AT + FLOAT_CONTROL_AT)
    for number in range(16):
        code += _ordered("ssi", number, 15, FLOAT_STATE_AT + 4 * number)
    return code


PROLOGUE, EPILOGUE = _prologue(), _epilogue()


class Body:
    """One random body: pieces of code that may be laid out one after the other."""

    def __init__(self, rng: random.Random, kinds: dict[Callable[[Body], None], float]) -> None:
        self.rng = rng
        self.kinds = kinds
        self.code = b""
        self.text: list[str] = []

    def put(self, mnemonic: str, *values: int) -> None:
        fence = FENCE if _has_aliases(ISA[mnemonic]) else b""
        self.code += fence + _ordered(mnemonic, *values) + (b"" if ISA[mnemonic].flow else fence)
        self.text.append(f"{mnemonic} {', '.join(map(str, values))}")

    def destination(self) -> int:
        return self.rng.randrange(15)

    def random_operands(self, instruction: Instruction) -> list[int]:
        values: list[int] = []
        for operand in instruction.operands:
            if operand.kind == "a":
                values.append(self.destination())
            else:
                allowed = [
                    v for v in operand.all_values() if operand.allows(v) and v != UNDEFINED.get(operand.name)
                ]
                values.append(self.rng.choice(allowed))
        return values

    def grow(self, count: int) -> Body:
        makers, weights = list(self.kinds), list(self.kinds.values())
        for maker in self.rng.choices(makers, weights, k=count):
            maker(self)
        return self

    def nested(self, count: int) -> Body:
        plain = {k: w for k, w in self.kinds.items() if k not in (branch, loop)}
        return Body(self.rng, plain).grow(count)


def plain(names: list[str]) -> Callable[[Body], None]:
    def make(body: Body) -> None:
        name = body.rng.choice(names)
        body.put(name, *body.random_operands(ISA[name]))

    return make


arithmetic, mac16, floats = plain(ARITHMETIC), plain(MAC16), plain(FLOAT)


def shift_amount(body: Body) -> None:
    """SAR of 0..32: more is not defined, and qemu takes 32 for 0 after `ssl` and `ssa8b`."""
    register = body.destination()
    name, low, high = body.rng.choice(
        (("wsr.sar", 0, 32), ("xsr.sar", 0, 32), ("ssl", 1, 31), ("ssa8b", 1, 3))
    )
    body.put("movi.n", register, body.rng.randrange(low, high + 1))
    body.put(name, register)


def divide(body: Body) -> None:
    """Division by an odd number, sometimes a small one."""
    divisor, other = body.rng.sample(range(15), 2)
    body.put("movi.n", divisor, body.rng.choice((1, -1, 3, 7)))
    if body.rng.random() < 0.7:
        body.put("or", divisor, divisor, other)
    body.put(body.rng.choice(DIVIDE), body.destination(), other, divisor)


def memory(body: Body) -> None:
    name = body.rng.choice(MEMORY)
    instruction = ISA[name]
    size = instruction.loads or instruction.stores
    values: list[int] = []
    for operand in instruction.operands:
        if operand.name == "ars":
            values.append(15)
        elif operand.kind == "a":
            values.append(body.destination())
        else:
            limit = min(operand.maximum, SCRATCH_AT + SCRATCH - 64 - size)
            low = SCRATCH_AT if operand.maximum >= SCRATCH_AT else 0
            # the first bytes of a record hold the state that has been loaded already
            values.append(body.rng.randrange(low, min(limit, low + 60) + 1) // size * size)
    body.put(name, *values)


def mac16_load(body: Body) -> None:
    name = body.rng.choice(MAC16_LOAD)
    base = body.destination()
    body.put("addmi", base, 15, SCRATCH_AT)
    values = body.random_operands(ISA[name])
    values[[o.name for o in ISA[name].operands].index("ars")] = base
    body.put("addi", base, base, body.rng.randrange(1, 20) * 4)
    body.put(name, *values)


def float_memory(body: Body) -> None:
    name = body.rng.choice(FLOAT_MEMORY)
    base = body.destination()
    body.put("addmi", base, 15, SCRATCH_AT)
    body.put(name, body.rng.randrange(16), base, body.rng.randrange(0, 32) * 4)


def branch(body: Body) -> None:
    """A forward branch over one to three pieces."""
    name = body.rng.choice(BRANCH)
    skipped = body.nested(body.rng.randrange(1, 4))
    instruction = ISA[name]
    length = instruction.encodings[0].length
    values = [len(skipped.code) + length if o.kind == "pcrel" else None for o in instruction.operands]
    if instruction.operands[-1].maximum < len(skipped.code) + length or len(skipped.code) + length < 4:
        return
    filled = (
        [v if v is not None else body.random_operands(instruction)[i] for i, v in enumerate(values)]
        if name != "j"
        else [len(skipped.code) + length]
    )
    body.put(name, *filled)
    body.code += skipped.code
    body.text += [f"  {line}" for line in skipped.text]


def loop(body: Body) -> None:
    """A zero-overhead loop of a few passes; a branch may leave to its end."""
    name = body.rng.choice(LOOP)
    counter = body.destination()
    inner = Body(body.rng, {k: w for k, w in body.kinds.items() if k is not loop}).grow(
        body.rng.randrange(1, 5)
    )
    if not 1 <= len(inner.code) < 250:
        return
    lowest = 1 if name == "loop" else -1
    body.put(
        "movi.n",
        counter,
        body.rng.randrange(lowest, 6) if name != "loopnez" else body.rng.randrange(0, 6),
    )
    body.put(name, counter, len(inner.code) + 3)
    body.code += inner.code
    body.text += [f"  {line}" for line in inner.text]


KINDS: dict[Callable[[Body], None], float] = {
    arithmetic: 10,
    shift_amount: 0.7,
    divide: 1,
    memory: 3,
    mac16: 2,
    mac16_load: 1,
    branch: 3,
    loop: 1,
    floats: 4,
    float_memory: 1,
}

SPECIAL_WORDS = (
    0,
    1,
    2,
    0xFFFF_FFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0x8000_8000,
    0xFFFF,
    0x7FFF,
    0x8000,
    31,
    32,
    0xAAAA_AAAA,
)
NOT_NUMBERS = (0x7FC00000, 0x7FC00001, 0xFFC12345, 0x7F800001, 0xFF812345)  # quiet, signaling
SPECIAL_FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -2.5,
    1e10,
    -1e10,
    1e-40,
    3e38,
    float("inf"),
    -float("inf"),
)


def _word(rng: random.Random) -> int:
    return rng.choice(SPECIAL_WORDS) if rng.random() < 0.3 else rng.getrandbits(32)


def _float(rng: random.Random) -> int:
    choice = rng.random()
    if choice < 0.1:
        return rng.choice(NOT_NUMBERS)
    if choice < 0.4:
        return struct.unpack("<I", struct.pack("<f", rng.choice(SPECIAL_FLOATS)))[0]
    if choice < 0.85:
        return struct.unpack("<I", struct.pack("<f", rng.uniform(-1000, 1000)))[0]
    return rng.getrandbits(32)


def _record(rng: random.Random) -> bytes:
    record = bytearray(RECORD)
    struct.pack_into("<15I", record, STATE_AT, *(_word(rng) for _ in range(15)))
    specials = [_word(rng) for _ in SPECIALS]
    specials[0] = rng.randrange(33)
    specials[1] &= 0xFFFF
    struct.pack_into(f"<{len(SPECIALS)}I", record, SPECIAL_AT, *specials)
    struct.pack_into("<I", record, FLOAT_CONTROL_AT, rng.choice((0, 0, 1, 2, 3)))
    record[SCRATCH_AT : SCRATCH_AT + SCRATCH - 64] = rng.randbytes(SCRATCH - 64)
    struct.pack_into("<16I", record, FLOAT_STATE_AT, *(_float(rng) for _ in range(16)))
    return bytes(record)


def make_program(seeds: list[int], length: int = 12) -> Program:
    """Sequences for these seeds in one program."""
    count = len(seeds)
    jump = 4
    literals_at = jump  # one address per record, then the three of the final system calls
    code = bytearray(encode("j", soffset=jump + 4 * count + 4).ljust(jump, b"\0"))
    code += bytes(4 * count + 4)
    starts: list[int] = []
    texts: list[list[str]] = []
    records: list[bytes] = []

    def literal(register: int, index: int) -> bytes:
        pc = BASE + HEADER + len(code)
        return encode(
            "l32r",
            art=register,
            uimm16x4=BASE + HEADER + literals_at + 4 * index - pc,
            pc=pc,
        )

    for index, seed in enumerate(seeds):
        rng = random.Random(seed)
        records.append(_record(rng))
        body = Body(rng, KINDS).grow(length)
        starts.append(len(code))
        texts.append(body.text)
        code += literal(15, index) + PROLOGUE + body.code + EPILOGUE
    records_at = len(code) + 256 & ~63
    code += literal(3, 0)
    code += literal(4, count)
    code += encode("movi", art=2, simm12b=WRITE) + encode("movi", art=6, simm12b=STDOUT) + encode("syscall")
    code += encode("movi", art=2, simm12b=EXIT) + encode("movi", art=6, simm12b=0) + encode("syscall")
    code += bytes(records_at - len(code)) + b"".join(records)
    for index in range(count):
        struct.pack_into(
            "<I",
            code,
            literals_at + 4 * index,
            BASE + HEADER + records_at + RECORD * index,
        )
    struct.pack_into("<I", code, literals_at + 4 * count, RECORD * count)
    return Program(code, records_at, count, seeds, starts, texts)


def elf(code: bytes) -> bytes:
    """A static executable: one segment, readable, writable and executable, loaded at BASE + HEADER."""
    start = BASE + HEADER
    ident = b"\x7fELF" + bytes([1, 1, 1, 0]) + bytes(8)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 94, 1, start, 52, 0, 0x300, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<8I", 1, HEADER, start, start, len(code), len(code) + 65536, 7, HEADER)
    return (header + segment).ljust(HEADER, b"\0") + code


def run_in_qemu(qemu: str, program: Program, folder: Path) -> bytes:
    """The records as qemu-xtensa leaves them."""
    path = folder / "sequences.elf"
    path.write_bytes(elf(bytes(program.code)))
    os.chmod(path, 0o755)
    done = subprocess.run([qemu, "-cpu", CPU, str(path)], capture_output=True, timeout=300)
    assert done.returncode == 0, f"qemu-xtensa ended with {done.returncode}: {done.stderr[:300]!r}"
    return done.stdout


def run_in_simulator(program: Program) -> bytes:
    """The records as the simulator leaves them at the first system call."""
    machine = Machine("esp32s3", checks=Check(0))
    size = HEADER + len(program.code) + 65536 + 4095 & ~4095
    machine.map(
        Region(
            "linux",
            "SRAM",
            BASE,
            size,
            Permission.READ | Permission.WRITE | Permission.EXECUTE,
        )
    )
    machine.write(BASE + HEADER, bytes(program.code))
    machine.pc = BASE + HEADER
    stop = machine.run(100_000_000)
    assert stop == Stop.SYSCALL, str(machine.stop_error(stop))
    return machine.read(BASE + HEADER + program.records_at, RECORD * program.count)


NAMES = {RESULT_AT + 4 * i: f"a{i}" for i in range(15)}
NAMES |= {RESULT_AT + SPECIAL_AT + 4 * i: name for i, name in enumerate(SPECIALS)}
NAMES |= {RESULT_AT + FLOAT_CONTROL_AT: "FSR"}
NAMES |= {FLOAT_STATE_AT + 4 * i: f"f{i}" for i in range(16)}


def differences(program: Program, expected: bytes, actual: bytes) -> list[str]:
    """One line per differing sequence: its seed, the registers and the text of the body."""
    a = np.frombuffer(expected, np.uint32).reshape(program.count, -1).copy()
    b = np.frombuffer(actual, np.uint32).reshape(program.count, -1)
    for index, text in enumerate(program.texts):
        if any(line.split()[0] in FLAGS_UNKNOWN for line in text):
            flags = (RESULT_AT + FLOAT_CONTROL_AT) // 4
            a[index, flags] = b[index, flags]
    found: list[str] = []
    for index in np.nonzero((a != b).any(axis=1))[0]:
        words = [
            f"{NAMES.get(4 * int(w), f'byte {4 * int(w)}')}: qemu {a[index, w]:#x} simulator {b[index, w]:#x}"
            for w in np.nonzero(a[index] != b[index])[0]
        ]
        body = "; ".join(line.strip() for line in program.texts[index])
        found.append(f"seed {program.seeds[index]}: {', '.join(words)}\n    {body}")
    return found


def main(arguments: list[str]) -> int:
    """`esp32s3_random.py SEED...` runs these sequences, prints their code and what differs."""
    program = make_program([int(seed) for seed in arguments])
    for seed, text in zip(program.seeds, program.texts, strict=True):
        print(f"seed {seed}:", *text, sep="\n    ")
    with tempfile.TemporaryDirectory() as folder:
        expected = run_in_qemu("qemu-xtensa", program, Path(folder))
    found = differences(program, expected, run_in_simulator(program))
    print("\n".join(found) or "no difference")
    return len(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
