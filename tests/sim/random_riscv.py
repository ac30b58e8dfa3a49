"""Random RV32IMAFC (Zba, Zbb, Zbs) sequences, run by the simulator and by qemu-riscv32 from the same ELF file.

    python tests/sim/random_riscv.py --seed 7 --sequences 20000        # all of them
    python tests/sim/random_riscv.py --seed 7 --sequence 1234          # one again, with its instructions

Each sequence starts from its own random registers; registers, flags and scratch memory afterwards are compared.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pienn.isa.assembler import assemble
from pienn.isa.table import Instruction, load
from pienn.sim.programs import Console, run_program

CODE, DATA = 0x1000_0000, 0x2000_0000
RECORD = 512  # bytes: x 0..127, f 128..255, fcsr 256, scratch 384..511
FCSR, SCRATCH, SCRATCH_SIZE = 256, 384, 128
POINTER, LINK = 3, 4  # gp and tp belong to the frame of the test
BATCH = 2500
QEMU_CPU = "rv32,zba=true,zbb=true,zbs=true"

FRAME = (
    ".option norvc\n.text\nload_registers:\n"
    + f"lw x1, {FCSR}(gp)\ncsrw fcsr, x1\n"
    + "".join(f"lw x{i}, {4 * i}(gp)\n" for i in range(1, 32) if i not in (POINTER, LINK))
    + "".join(f"flw f{i}, {128 + 4 * i}(gp)\n" for i in range(32))
    + "jr tp\nsave_registers:\n"
    + "".join(f"sw x{i}, {4 * i}(gp)\n" for i in range(1, 32) if i not in (POINTER, LINK))
    + "".join(f"fsw f{i}, {128 + 4 * i}(gp)\n" for i in range(32))
    + f"csrr x1, fcsr\nsw x1, {FCSR}(gp)\naddi gp, gp, {RECORD}\njr tp\n"
    + "finish:\nli a0, 1\nli a7, 64\necall\nli a0, 0\nli a7, 93\necall\n"
    + f"_start:\nli gp, {DATA}\n"
)
INTERESTING_FLOATS = (
    0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFC12345,
    0x00000001, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x4F000000, 0xCF000000, 0x4F800000, 0x3EFFFFFF, 0x3F000000,
    0x3FC00000, 0x40200000, 0x4B000001, 0x33800000, 0x5F000000, 0x1F000000,
)  # fmt: skip
INTERESTING = (
    0,
    1,
    2,
    31,
    32,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0xFFFF8000,
    0x00008000,
    0x55555555,
)
FLOAT_CSR = {
    1: 32,
    2: 5,
    3: 32,
}  # fflags, frm, fcsr: exclusive limit of what may be written by number


@dataclass
class Batch:
    """Code of some sequences and their records before."""

    words: list[list[bytes]]
    records: np.ndarray  # uint8 [sequences, RECORD]


def usable(instruction: Instruction) -> bool:
    """Straight-line instructions of the base set that user-mode QEMU 7.2 knows."""
    outside = (
        "esp.",
        "c.ebreak",
        "c.unimp",
        "c.jr",
        "c.jalr",
        "mret",
        "wfi",
        "ecall",
        "ebreak",
        "sc.w",
        "lr.w",
    )
    if instruction.mnemonic.startswith(outside) or instruction.extension in (
        "Zcb",
        "xespv",
        "xesploop",
    ):
        return False
    return instruction.mnemonic not in ("fence.i", "c.nop", "jalr")


ISA = load("esp32p4")
USABLE = [i for i in ISA.instructions.values() if usable(i)]


def choose(random: np.random.Generator, instruction: Instruction) -> dict[str, int]:
    """Random operand values, the registers of the test's frame left alone."""
    values: dict[str, int] = {}
    for operand in instruction.operands:
        if operand.is_register:
            allowed = [v for v in operand.all_values() if operand.allows(v)]
            if operand.kind == "x" and "w" in operand.access:
                allowed = [v for v in allowed if v not in (POINTER, LINK)]
            values[operand.name] = int(random.choice(allowed))
        elif operand.name == "rm":
            values[operand.name] = int(random.choice([0, 1, 2, 3, 4, 7]))
        elif operand.values is not None:
            values[operand.name] = int(random.choice([v for v in operand.values if operand.allows(v)]))
        else:
            while True:
                steps = (operand.maximum - operand.minimum) // abs(operand.scale)
                value = operand.minimum + abs(operand.scale) * int(random.integers(0, steps + 1))
                if operand.allows(value):
                    break
            values[operand.name] = value
    return values


def one(random: np.random.Generator) -> list[bytes]:
    """One random step: an instruction, with what makes its address or control register valid."""
    instruction = USABLE[int(random.integers(len(USABLE)))]
    values = choose(random, instruction)
    name = instruction.mnemonic
    before: list[bytes] = []

    def point(register: int) -> None:
        """Make a register point into the scratch memory, aligned to 4."""
        offset = SCRATCH + 4 * int(random.integers(0, 8))
        before.append(ISA.encode("addi", {"rd": register, "rs1": POINTER, "imm": offset}))

    if "csr" in values:
        values["csr"] = int(random.choice(list(FLOAT_CSR)))
        if "imm" in values:
            values["imm"] %= FLOAT_CSR[values["csr"]]
        elif values["csr"] == 2 or name == "csrrw" or values["rs1"]:
            values["rs1"] = 0  # a random register could ask for a rounding mode that does not exist
        if values["csr"] == 2 and name != "csrrwi":
            values["csr"] = 1  # setting or clearing bits could make one, too
    elif instruction.loads or instruction.stores:
        if "sp" in (s.name for s in instruction.reads):
            point(2)
            values["imm"] %= 64
        elif "rs1" in values and name.startswith("amo"):
            register = values["rs1"] if values["rs1"] not in (0, POINTER, LINK) else 5
            values["rs1"] = register
            point(register)
        elif name.startswith("c."):
            point(values["rs1"])
            values["imm"] %= 64
        else:
            values["rs1"] = POINTER
            values["imm"] = SCRATCH + int(random.integers(0, SCRATCH_SIZE - 4))
    if set(instruction.flow) & {"branch", "jump", "call"}:
        skipped = one_straight(random)
        length = instruction.encodings[0].length
        values["offset"] = length + sum(map(len, skipped))
        return [ISA.encode(name, values), *skipped]
    return [*before, ISA.encode(name, values)]


def one_straight(random: np.random.Generator) -> list[bytes]:
    while True:
        step = one(random)
        if len(step) == 1:
            return step


def batch(seed: int, first: int, count: int) -> Batch:
    words: list[list[bytes]] = []
    records = np.zeros((count, RECORD), np.uint8)
    for index in range(count):
        random = np.random.default_rng((seed, first + index))
        words.append([word for _ in range(int(random.integers(8, 24))) for word in one(random)])
        record = records[index].view(np.uint32)
        record[:] = random.integers(0, 1 << 32, RECORD // 4, dtype=np.uint32)
        record[1:32] = np.where(random.random(31) < 0.3, random.choice(INTERESTING, 31), record[1:32])
        small = random.integers(0x3E800000, 0x42000000, 32, dtype=np.uint32)
        record[32:64] = np.where(random.random(32) < 0.4, small, record[32:64])
        record[32:64] = np.where(
            random.random(32) < 0.4,
            random.choice(INTERESTING_FLOATS, 32),
            record[32:64],
        )
        record[FCSR // 4] = int(random.integers(0, 5)) << 5 | int(random.integers(0, 32))
        record[FCSR // 4 + 1 : SCRATCH // 4] = 0
        record[0] = record[POINTER] = record[LINK] = 0
    return Batch(words, records)


def executable(made: Batch) -> bytes:
    """An ELF file that runs every sequence and writes all records to its standard output."""
    image = assemble(FRAME, "esp32p4").link(CODE)
    code = bytearray(image.flat())
    entry = image.symbols["_start"]

    def call(name: str) -> None:
        distance = image.symbols[name] - (CODE + len(code))
        code.extend(ISA.encode("jal", {"rd": LINK, "offset": distance}))

    for words in made.words:
        call("load_registers")
        code += b"".join(words)
        call("save_registers")
    size = made.records.nbytes
    code += assemble(f".option norvc\nli a1, {DATA}\nli a2, {size}\n", "esp32p4").link(0).flat()
    call("finish")
    header = struct.pack("<4s12B", b"\x7fELF", 1, 1, 1, *[0] * 9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, entry, 52, 0, 3, 52, 32, 2, 40, 0, 0)
    at = 4096
    places = ((CODE, bytes(code), 5), (DATA, made.records.tobytes(), 6))
    contents = b""
    for address, data, flags in places:
        header += struct.pack(
            "<8I",
            1,
            at + len(contents),
            address,
            address,
            len(data),
            len(data),
            flags,
            4096,
        )
        contents += data + bytes(-len(data) % 4096)
    return header.ljust(at, b"\0") + contents


def differences(seed: int, first: int, count: int, qemu: str = "qemu-riscv32") -> list[str]:
    """Run a batch in both; a line for each sequence whose outcome differs."""
    made = batch(seed, first, count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.elf"
        path.write_bytes(executable(made))
        path.chmod(0o755)
        ended = run_program(path, "esp32p4", 3, console=Console())
        if ended.exit_code != 0:
            return [f"seed {seed}, sequences {first}..{first + count - 1}: simulator: {ended.stop}"]
        wanted = subprocess.run([qemu, "-cpu", QEMU_CPU, str(path)], capture_output=True, timeout=100)
        if wanted.returncode or len(wanted.stdout) != made.records.nbytes:
            return [f"seed {seed}, sequences {first}..{first + count - 1}: qemu exit {wanted.returncode}"]
    mine = np.frombuffer(ended.output, np.uint8).reshape(count, RECORD)
    theirs = np.frombuffer(wanted.stdout, np.uint8).reshape(count, RECORD)
    found: list[str] = []
    for index in np.flatnonzero((mine != theirs).any(axis=1)):
        a, b = mine[index].view(np.uint32), theirs[index].view(np.uint32)
        place = int(np.flatnonzero(a != b)[0])
        name = f"x{place}" if place < 32 else f"f{place - 32}" if place < 64 else f"byte {4 * place}"
        found.append(
            f"{name} is {a[place]:#x}, qemu has {b[place]:#x}; rerun: python tests/sim/random_riscv.py "
            f"--seed {seed} --sequence {first + int(index)}"
        )
    return found


def listing(seed: int, sequence: int) -> list[str]:
    made = batch(seed, sequence, 1)
    lines = [f"x{i} = {v:#x}" for i, v in enumerate(made.records[0].view(np.uint32)[:32]) if i]
    lines += [f"f{i} = {v:#x}" for i, v in enumerate(made.records[0].view(np.uint32)[32:64])]
    lines.append(f"fcsr = {made.records[0].view(np.uint32)[FCSR // 4]:#x}")
    for word in made.words[0]:
        found = ISA.decode(word)
        lines.append(f"{found[0].mnemonic} {found[1]}" if found else word.hex())
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--sequence", type=int)
    arguments = parser.parse_args()
    if arguments.sequence is not None:
        print("\n".join(listing(arguments.seed, arguments.sequence)))
        found = differences(arguments.seed, arguments.sequence, 1)
    else:
        found = []
        for first in range(0, arguments.sequences, BATCH):
            found += differences(arguments.seed, first, min(BATCH, arguments.sequences - first))
            print(f"{first + BATCH} sequences, {len(found)} differences", flush=True)
    print("\n".join(found[:20]) or "no difference")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
