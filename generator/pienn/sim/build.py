"""Builds the simulator's C core: generates the decode tables, compiles, keeps the result in a per-user cache.

`library()` gives the path of the shared object, compiling it the first time (some seconds). The cache key is a hash
over the C sources, the instruction tables, the generators and the compiler, so that a change of any of them builds
anew; the file is moved into place atomically.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pienn.errors import PiennError
from pienn.isa.table import REGISTER_KINDS, TARGETS, Encoding, Instruction, Isa, Operand, load
from pienn.sim.issue import rules_of

SIM = Path(__file__).parent
ENGINE = SIM / "engine"
ISA = SIM.parent / "isa"
FLAGS = ("-std=gnu11", "-O2", "-ftree-vectorize", "-fno-math-errno", "-ffp-contract=off", "-frounding-math",
         "-fno-strict-aliasing", "-fPIC", "-Wall", "-Wextra")  # fmt: skip
REGISTER_BITS = {"x": 0, "f": 32, "a": 0, "b": 32, "m": 48, "q": 64}
XTENSA_FLOAT_BIT = 16
FIRST_STATE_BIT = 72
KEEP_DAYS = 14
PIE_STATE = ("QACC", "XACC", "ACCX", "UA_STATE")


def compiler() -> str:
    """The C compiler to use: $CC, else cc, gcc or clang."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise PiennError(
        "the simulator needs a C compiler once, to build its core: install gcc or clang, or set CC"
    )


def targets() -> list[str]:
    """The chips whose table and engine are both present."""
    return [t for t in TARGETS if (ISA / f"{t}.isa").exists() and (ENGINE / f"{t}_engine.c").exists()]


def library() -> Path:
    """Path of the compiled core; builds it when this version has not been built yet. Raises PiennError."""
    path = cache_folder() / f"pienn_sim_{_source_key()}.so"
    if not path.exists():
        _build(path)
    return path


def cache_folder() -> Path:
    """Where builds are kept: $PIENN_CACHE, else pienn in the user's cache folder."""
    override = os.environ.get("PIENN_CACHE")
    base = (
        Path(override)
        if override
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pienn"
    )
    base.mkdir(parents=True, exist_ok=True)
    return base


def _source_key() -> str:
    """Hash of everything the library is made from; cheap, as it is computed in every process."""
    python = [SIM / "build.py", ISA / "table.py", *SIM.glob("issue*.py")]
    core = [p for p in ENGINE.iterdir() if p.suffix in (".c", ".h", ".inc")]
    return _hash([*core, *python, *(ISA / f"{t}.isa" for t in targets())], _tools())


def _tools() -> str:
    return f"{compiler()} {os.environ.get('CFLAGS', '')} {' '.join(FLAGS)} {_processor()}"


def _hash(paths: Iterable[Path], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _processor() -> str:
    """What -march=native stands for; part of the key, as home folders are shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return sys.platform
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


@dataclass(frozen=True)
class _Unit:
    """One compilation: its object file is kept under a key of exactly what it depends on."""

    source: Path
    options: tuple[str, ...]
    tables: str = ""


def _units() -> list[_Unit]:
    have = tuple(f"-DHAVE_{target.upper()}" for target in targets())
    units = [_Unit(ENGINE / f"{name}.c", have) for name in ("sim", "memory", "decode")]
    for target in targets():
        text = tables(target)
        units += [_Unit(ENGINE / f"{target}_engine.c", (f"-DCHECKED={checked}",), text) for checked in (0, 1)]
    return units


def _build(path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(_object, reversed(_units())))
    with tempfile.TemporaryDirectory(prefix="pienn-sim-") as folder:
        shared = Path(folder) / "library.so"
        _run([compiler(), "-shared", "-o", str(shared), *map(str, objects), "-lm"])
        _keep(shared, path)
    _forget_old()


def _object(unit: _Unit) -> Path:
    """The object file of a unit, compiled unless the cache has it."""
    own = [unit.source, *ENGINE.glob("*.h")]
    if unit.tables:
        own += ENGINE.glob(unit.source.name.replace("_engine.c", "_*.inc"))
    path = cache_folder() / f"object_{_hash(own, unit.tables + ' '.join(unit.options) + _tools())}.o"
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(prefix="pienn-sim-") as folder:
        if unit.tables:
            name = unit.source.name.replace("_engine.c", "")
            (Path(folder) / f"tables_{name}.h").write_text(unit.tables)
        made = Path(folder) / "unit.o"
        flags = [*FLAGS, *_native(), *os.environ.get("CFLAGS", "").split(), *unit.options, f"-I{folder}"]
        _run([compiler(), *flags, "-c", str(unit.source), "-o", str(made)])
        _keep(made, path)
    return path


def _keep(made: Path, path: Path) -> None:
    """Move into the cache so that no other process ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    shutil.copy(made, temporary)
    os.replace(temporary, path)


def _forget_old() -> None:
    limit = time.time() - KEEP_DAYS * 86400
    for path in [*cache_folder().glob("pienn_sim_*.so"), *cache_folder().glob("object_*.o")]:
        if path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)


@functools.lru_cache(maxsize=1)
def _native() -> tuple[str, ...]:
    """The flag for this processor's vector instructions, where the compiler knows it."""
    probe = [compiler(), "-march=native", "-E", "-x", "c", os.devnull]
    return ("-march=native",) if subprocess.run(probe, capture_output=True).returncode == 0 else ()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        first = next(
            (line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:300]
        )
        raise PiennError(f"building the simulator core failed: {first} (command: {' '.join(command)})")
    return done.stdout


# ---------------------------------------------------------------------------------------------- generated tables


def implemented(target: str) -> dict[str, list[str]]:
    """Names of the instructions that have a meaning in C, with their operand names."""
    text = _run([compiler(), "-E", "-P", "-DPIENN_SCAN", "-DCHECKED=0", str(ENGINE / f"{target}_engine.c")])
    found: dict[str, list[str]] = {}
    for body in re.findall(r"\bPIENN_MEANING\b([^;{}()]*?)\bPIENN_END\b", text):
        name, *operands = (part.strip() for part in body.split(","))
        if name in found:
            raise PiennError(f"{target}: instruction {name} is given a meaning twice")
        found[name] = operands
    if not found:
        raise PiennError(
            f"{target}: no instruction with a meaning found in {ENGINE}; is the installation complete?"
        )
    return found


def identifier(mnemonic: str) -> str:
    """The C name of a mnemonic."""
    return re.sub(r"\W", "_", mnemonic)


def state_bits(isa: Isa) -> dict[str, int]:
    """Bit of each implicit state (and structural unit) in the register sets of the issue model.

    Only states that an issue rule names late somewhere, and the PIE state, get one: the others never wait.
    """
    rules = rules_of(isa.target)
    operands = {o.name for i in isa.instructions.values() for o in i.operands}
    late = {name for i in isa.instructions.values() for name in rules(i).late}
    states = {s.name for i in isa.instructions.values() for s in (*i.reads, *i.writes)}
    ordered = sorted((late - operands) | {name for name in states if name.startswith(PIE_STATE)})
    if FIRST_STATE_BIT + len(ordered) > 128:
        raise PiennError(f"{isa.target}: more implicit states than the issue model has room for")
    return {name: FIRST_STATE_BIT + index for index, name in enumerate(ordered)}


def register_bit(target: str, kind: str) -> int:
    if kind == "f" and target == "esp32s3":
        return XTENSA_FLOAT_BIT
    return REGISTER_BITS[kind]


def slots(instruction: Instruction) -> list[int]:
    """Where each operand is kept in a decoded instruction: 0..10 one byte, 16..18 four bytes."""
    small = large = 0
    result: list[int] = []
    for operand in instruction.operands:
        low, high = operand.minimum, operand.maximum
        if operand.anchor is None and low >= -128 and high <= 127 and small < 11:
            result.append(small)
            small += 1
        else:
            result.append(16 + large)
            large += 1
    if large > 3:
        raise PiennError(
            f"{instruction.mnemonic}: more wide operands than a decoded instruction has room for"
        )
    return result


def tables(target: str) -> str:
    """The generated header of a chip."""
    isa = load(target)
    meanings = implemented(target)
    instructions = list(isa.instructions.values())
    known = {identifier(i.mnemonic) for i in instructions}
    stray = sorted(set(meanings) - known)
    if stray:
        raise PiennError(f"{target}: {stray[0]} has a meaning in C but is not in the instruction table")
    writer = _Tables(isa, meanings)
    for number, instruction in enumerate(instructions, 1):
        writer.instruction(number, instruction)
    return writer.text()


class _Tables:
    def __init__(self, isa: Isa, meanings: dict[str, list[str]]) -> None:
        self.isa = isa
        self.meanings = meanings
        self.rules = rules_of(isa.target)
        self.bits = state_bits(isa)
        self.operations: list[str] = ['{.mnemonic = "?"}']
        self.operands: list[str] = []
        self.encodings: list[str] = []
        self.fields: list[str] = []
        self.segments: list[str] = []
        self.values: list[int] = []
        self.fixed: list[int] = []
        self.labels: list[str] = []
        self.dispatch: list[str] = []

    def instruction(self, number: int, instruction: Instruction) -> None:
        name = identifier(instruction.mnemonic)
        meaning = self.meanings.get(name)
        where = slots(instruction)
        short_form = meaning is None and instruction.expansion is not None
        if meaning is not None:
            table = [identifier(o.name) for o in instruction.operands]
            if meaning != table:
                raise PiennError(
                    f"{instruction.mnemonic}: operands in C {meaning} differ from the table's {table}"
                )
            values = [f"SMALL({slot})" if slot < 16 else f"LARGE({slot - 16})" for slot in where]
            self.dispatch.append(f"PERFORM({', '.join([name, *values])})")
        else:
            self.dispatch.append(f"UNIMPLEMENTED({name})")
        self.labels.append(f"perform_{name}")
        data = self.rules(instruction)
        names = {o.name for o in instruction.operands}
        first = len(self.operands)
        for operand, slot in zip(instruction.operands, where, strict=True):
            timing = 0
            bit = 255
            if operand.kind in REGISTER_KINDS:
                bit = register_bit(self.isa.target, operand.kind)
                timing |= ("r" in operand.access) * 2 | ("w" in operand.access) * 4
                timing |= (operand.name in data.early) * 1 | (operand.name in data.late) * 8
            self.operands.append(f"{{{slot}, {bit}, {timing}}}")
        early = _mask(self.bits[n] for n in data.early - names if n in self.bits)
        late = _mask(self.bits[n] for n in data.late - names)
        reads = _mask(self.bits[s.name] for s in instruction.reads if s.name in self.bits)
        writes = _mask(self.bits[s.name] for s in instruction.writes if s.name in self.bits)
        self.operations.append(
            f'{{"{instruction.mnemonic}", {first}, {len(instruction.operands)}, {data.extra}, {data.late_cycles}, '
            f"{data.taken}, {int(meaning is not None or short_form)}, "
            f"{_unit(instruction)}, {early}, {late}, {reads}, {writes}}}"
        )
        for encoding in instruction.encodings:
            if short_form:
                self.short_form(instruction, encoding)
            else:
                sources = [(index, o, None) for index, o in enumerate(instruction.operands)]
                self.encoding(number, sources, encoding)

    def short_form(self, instruction: Instruction, encoding: Encoding) -> None:
        """An encoding that decodes straight to the instruction with the same effect."""
        assert instruction.expansion is not None
        mnemonic, pairs = instruction.expansion
        sources: list[tuple[int, Operand | None, int | None]] = []
        for index, operand in enumerate(self.isa[mnemonic].operands):
            value = pairs.get(operand.name, operand.default)
            if isinstance(value, str):
                sources.append((index, instruction.operand(value), None))
            else:
                sources.append((index, None, value))
        number = list(self.isa.instructions).index(mnemonic) + 1
        self.encoding(number, sources, encoding)

    def encoding(
        self, number: int, sources: Sequence[tuple[int, Operand | None, int | None]], encoding: Encoding
    ) -> None:
        """One binary form of operation `number`: for each of its operands a field of the word or a number."""
        first_field, first_fixed = len(self.fields), len(self.fixed)
        for index, operand, number_given in sources:
            bits = encoding.fields.get(operand.name) if operand else None
            if operand is None or bits is None:
                value = encoding.fixed.get(operand.name, operand.default) if operand else number_given
                if value is not None:
                    self.fixed += [index, value]
                continue
            first_segment = len(self.segments)
            for word_bit, width, value_bit in _runs(bits):
                self.segments.append(f"{{{word_bit}, {width}, {value_bit}}}")
            first_value = len(self.values)
            self.values += operand.values or ()
            first_excluded = len(self.values)
            self.values += sorted(operand.excluded)
            anchor = {None: 0, "down": 1, "up": 2}[operand.anchor]
            self.fields.append(
                f"{{{index}, {first_segment & 255}, {first_segment >> 8}, {len(self.segments) - first_segment}, "
                f"{len(bits)}, {int(operand.signed)}, {anchor}, {len(operand.values or ())}, {first_value}, "
                f"{operand.base}, {operand.scale}, {operand.minimum}, {operand.maximum}, "
                f"{first_excluded}, {len(operand.excluded)}}}"
            )
        self.encodings.append(
            f"{{{encoding.mask:#x}, {encoding.match:#x}, {number}, {encoding.length}, {encoding.revision or 0}, "
            f"{first_field}, {len(self.fields) - first_field}, {first_fixed}, {(len(self.fixed) - first_fixed) // 2}}}"
        )

    def text(self) -> str:
        target = self.isa.target
        pie = [1 << b for n, b in self.bits.items() if n.startswith(PIE_STATE)]
        pie_mask = _mask(b for b in range(128) if (sum(pie) | 0xFF << 64) >> b & 1)

        def array(kind: str, name: str, rows: Iterable[object]) -> str:
            body = ",\n    ".join(str(row) for row in rows) or "0"
            return f"static const {kind} {name}[] = {{\n    {body}}};\n"

        return "".join(
            [
                f"// Generated from the instruction table of {target}.\n",
                "#ifdef TABLES_DATA\n",
                array("OperandSpec", "table_operands", self.operands),
                array("OperationSpec", "table_operations", self.operations),
                array("EncodingSpec", "table_encodings", self.encodings),
                array("FieldSpec", "table_fields", self.fields),
                array("Segment", "table_segments", self.segments),
                array("int32_t", "table_values", self.values or [0]),
                array("int32_t", "table_fixed", self.fixed or [0]),
                "#define TABLES_MEMBERS \\\n"
                f"    .operations = table_operations, .operation_count = {len(self.operations)}, \\\n"
                f"    .operands = table_operands, .encodings = table_encodings, \\\n"
                f"    .encoding_count = {len(self.encodings)}, .fields = table_fields, \\\n"
                f"    .segments = table_segments, .values = table_values, .fixed = table_fixed, \\\n"
                f"    .lengths = {{{', '.join(map(str, self.isa.lengths))}}}, .pie = {pie_mask}\n",
                "#endif\n",
                f"#define TABLES_LABELS {', '.join(self.labels)}\n",
                "#define TABLES_DISPATCH \\\n    ",
                " \\\n    ".join(self.dispatch),
                "\n",
            ]
        )


def _unit(instruction: Instruction) -> int:
    """Coprocessor number: 1 FPU, 2 PIE, 0 none."""
    kinds = {o.kind for o in instruction.operands} | {s.name for s in instruction.reads}
    if instruction.issue_class.startswith("pie") or "q" in kinds or "CPENABLE" in kinds:
        return 2
    return 1 if "f" in kinds else 0


def _mask(bits: Iterable[int]) -> str:
    value = 0
    for bit in bits:
        value |= 1 << bit
    return f"{{{value & (1 << 64) - 1:#x}ull, {value >> 64:#x}ull}}"


def _runs(bits: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(lowest word bit, width, lowest value bit) of each contiguous run of a field."""
    runs: list[tuple[int, int, int]] = []
    for value_bit, word_bit in enumerate(bits):
        if runs and runs[-1][0] + runs[-1][1] == word_bit:
            start, width, low = runs[-1]
            runs[-1] = (start, width + 1, low)
        else:
            runs.append((word_bit, 1, value_bit))
    return runs
