"""Lanes, steps, runs to a place, explanations, pictures, tensors: what a kernel writer looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.table import load
from pienn.sim.explain import explain
from pienn.sim.lanes import bytes_of, lanes_of
from pienn.sim.machine import Machine
from pienn.sim.native import Check, Stop
from pienn.sim.picture import Picture
from pienn.sim.stops import SimulationStop
from pienn.sim.trace import Tracer

KERNELS = {
    "esp32p4": """
    .global f
f:  li a2, 3
again:
    esp.vld.128.ip q0, a0, 16
    esp.vadd.s8 q1, q0, q0
    esp.vst.128.ip q1, a1, 16
    addi a2, a2, -1
    bnez a2, again
    ret
""",
    "esp32s3": """
    .global f
f:  entry a1, 32
    movi.n a4, 3
again:
    ee.vld.128.ip q0, a2, 16
    ee.vadds.s8 q1, q0, q0
    ee.vst.128.ip q1, a3, 16
    addi.n a4, a4, -1
    bnez a4, again
    retw.n
""",
}
TARGETS = sorted(KERNELS)


def started(target: str) -> tuple[Machine, np.ndarray]:
    """A call of f on 48 bytes, not run yet; buffers are called x and out."""
    machine = Machine(target)
    machine.load(assemble(KERNELS[target], target, name="kernel.S"))
    x = np.arange(48, dtype=np.int8)
    machine.start("f", machine.buffer(x, name="x"), machine.buffer(np.zeros(48, np.int8), name="out"))
    return machine, x


# ---------------------------------------------------------------------------------------------- lanes


@pytest.mark.parametrize(
    "lane_type", ["s8", "u8", "s16", "u16", "s20", "u20", "s32", "s40", "u40", "s64", "u64"]
)
def test_lanes_and_bytes_are_each_others_reverse(lane_type: str) -> None:
    data = np.random.default_rng(5).integers(0, 256, 40, dtype=np.uint8).tobytes()
    lanes = lanes_of(data, lane_type)
    assert len(lanes) == 320 // int(lane_type[1:])
    assert bytes_of(lanes, lane_type, 40) == data


def test_lanes_that_numpy_lacks_are_sign_extended() -> None:
    data = bytes([0xFF, 0xFF, 0x1F, 0x00, 0x80])  # 0xfffff, 0x80001
    assert lanes_of(data, "s20").tolist() == [-1, -(1 << 19) + 1]
    assert lanes_of(data, "u20").tolist() == [0xFFFFF, 0x80001]
    assert lanes_of(data, "s40").tolist() == [0x80001FFFFF - (1 << 40)]


@pytest.mark.parametrize("name", ["s", "x8", "f16", "s65", "s0", "8"])
def test_an_unknown_lane_type_is_refused(name: str) -> None:
    with pytest.raises(PiennError, match="lane type"):
        lanes_of(bytes(16), name)


def test_lanes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PiennError, match="128 bits are no whole number of s20 lanes"):
        Machine("esp32p4").lanes("q0", "s20")
    with pytest.raises(PiennError, match="lane 1 = 128 is outside s8"):
        Machine("esp32p4").set_lanes("q0", [0, 128, *[0] * 14], "s8")
    with pytest.raises(PiennError, match="hold 16 lanes of s8, not 3"):
        Machine("esp32p4").set_lanes("q0", [1, 2, 3], "s8")


@pytest.mark.parametrize(
    ("target", "register", "lane_type", "count"),
    [
        ("esp32p4", "q7", "f32", 4),
        ("esp32p4", "qacc", "s32", 16),
        ("esp32p4", "qacc_h", "s64", 4),
        ("esp32p4", "xacc", "s40", 1),
        ("esp32p4", "fa0", "f32", 1),
        ("esp32p4", "a0", "u8", 4),
        ("esp32s3", "q7", "s16", 8),
        ("esp32s3", "qacc", "s20", 16),
        ("esp32s3", "qacc", "u40", 8),
        ("esp32s3", "qacc_l", "s20", 8),
        ("esp32s3", "accx", "u40", 1),
        ("esp32s3", "f3", "f32", 1),
    ],
)
def test_every_register_is_written_and_read_as_lanes(
    target: str, register: str, lane_type: str, count: int
) -> None:
    machine = Machine(target)
    values = [3 * lane + 1 for lane in range(count)]
    machine.set_lanes(register, values, lane_type)
    assert machine.lanes(register, lane_type).tolist() == values
    machine.set_lanes(register, 5, lane_type)
    assert machine.lanes(register, lane_type).tolist() == [5] * count


def test_qacc_of_the_s3_holds_the_lanes_that_an_instruction_wrote() -> None:
    machine = Machine("esp32s3")
    source = ".global f\nf: entry a1, 32\nee.zero.qacc\nee.vmulas.s8.qacc q0, q1\nretw.n\n"
    machine.load(assemble(source, "esp32s3"))
    a, b = np.arange(-8, 8), np.arange(20, 4, -1)

    def lanes(chip: Machine) -> None:
        chip.set_lanes("q0", a, "s8")
        chip.set_lanes("q1", b, "s8")

    machine.call("f", before=lanes)
    assert machine.lanes("qacc", "s20").tolist() == (a * b).tolist()


# ---------------------------------------------------------------------------------------------- steps


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_says_what_it_changed(target: str) -> None:
    machine, x = started(target)
    machine.run_to("again")
    step = machine.step()
    pointer = {"esp32p4": "a0", "esp32s3": "a2"}[target]
    assert {change.name for change in step.changes} == {"q0", pointer}
    after = next(change.after for change in step.changes if change.name == "q0")
    assert after == "[" + " ".join(map(str, x[:16])) + "]"
    assert f"] -> {after}" in str(step) and "    q0: [" in str(step) and "(1 cycle)" in str(step)
    machine.step()
    stored = machine.step(lanes="s16").changes
    assert any(c.name == "out[0:16]" and c.before == "[0 0 0 0 0 0 0 0]" for c in stored)
    assert any(c.name == "out[0:16]" and c.after.startswith("[512 1540 ") for c in stored)


def test_a_window_that_moves_does_not_look_like_sixteen_new_registers() -> None:
    machine, _ = started("esp32s3")
    names = {change.name for change in machine.step().changes}
    assert "WINDOWBASE" in names
    assert names <= {"a1", "PS", "WINDOWBASE"}, names


@pytest.mark.parametrize("target", TARGETS)
def test_steps_end_when_the_function_returns_and_finish_gives_the_result(target: str) -> None:
    machine, _ = started(target)
    total = 0
    while not (step := machine.step()).returned:
        total += step.cycles
    total += step.cycles
    whole, x = started(target)
    result = whole.finish()
    assert result.cycles == total == whole.cycles
    assert "out" in {name for _, _, name in whole.declared()}
    address = next(at for at, _, name in whole.declared() if name == "out")
    assert np.frombuffer(whole.read(address, 48), np.int8).tolist() == (2 * x).tolist()


@pytest.mark.parametrize("target", TARGETS)
def test_run_to_a_label_stops_there_each_time_and_leaves_breakpoints_as_they_were(target: str) -> None:
    machine, _ = started(target)
    machine.set_breakpoint("f")
    for _ in range(3):
        machine.run_to("again")
        assert machine.pc == machine.address_of("again")
    assert machine.breakpoints == {machine.address_of("f")}
    with pytest.raises(PiennError, match="again: not reached before the function returned"):
        machine.run_to("again")


def test_run_to_ends_at_another_breakpoint_and_at_the_limit() -> None:
    machine, _ = started("esp32p4")
    machine.set_breakpoint("again")
    assert "kernel.S:5" in machine.run_to(machine.address_of("again") + 8).place
    with pytest.raises(SimulationStop, match="instruction limit"):
        machine.run_to(machine.address_of("f"), max_instructions=5)


def test_a_step_that_cannot_be_done_raises_with_the_line() -> None:
    machine = Machine("esp32p4")
    machine.load(assemble(".global f\nf: lw a0, 0(a0)\nret\n", "esp32p4", name="kernel.S"))
    machine.start("f", 0x1000_0000)
    with pytest.raises(SimulationStop, match=r"kernel\.S:2: .*no memory"):
        machine.step()


def test_a_trace_of_a_call_says_what_each_instruction_changed(tmp_path: Path) -> None:
    machine, x = started("esp32s3")
    path = tmp_path / "trace.txt"
    with Tracer(machine, path) as tracer:
        assert tracer.run(1000) == Stop.RETURNED
    lines = path.read_text().splitlines()
    assert len(lines) == machine.instructions and int(lines[-1].split()[0]) == machine.cycles
    loads = [line for line in lines if "ee.vld.128.ip q0, a2, 16" in line]
    for start, line in zip((0, 16, 32), loads, strict=True):
        assert f"q0={x[start : start + 16].tobytes()[::-1].hex()}" in line
    assert "bnez a4, again" in lines[-2] and "=" not in lines[-2]


# ---------------------------------------------------------------------------------------------- words


def test_an_instruction_is_explained_with_its_operands() -> None:
    machine, _ = started("esp32p4")
    text = str(machine.explain("again"))
    assert text.splitlines()[0] == "kernel.S:5: esp.vld.128.ip q0, a0, 16"
    assert "Load 16 bytes into a vector register and step the pointer." in text
    assert "q0 = mem128[a0 & ~15]; a0 += 16" in text
    machine.run_to("again")
    assert str(machine.explain()) == text


def test_a_branch_is_explained_with_the_name_of_its_target() -> None:
    machine, _ = started("esp32s3")
    at = next(a for a, line in machine.lines.items() if line.line == 10)
    assert "again" in str(machine.explain(at))


@pytest.mark.parametrize("target", TARGETS)
def test_every_instruction_of_the_table_has_words(target: str) -> None:
    isa = load(target)
    machine = Machine(target, checks=Check(0))
    place = machine.buffer(16).address
    revision = 3 if target == "esp32p4" else None
    explained = 0
    for instruction in isa.instructions.values():
        encoding = instruction.encoding(revision)
        if encoding is None:
            continue
        machine.write(place, encoding.match.to_bytes(encoding.length, "little") + bytes(4))
        found = isa.decode(machine.read(place, 4), revision=revision, pc=place)
        if found is None or found[0] is not instruction:
            continue  # all-zero operands that belong to somebody else
        words = explain(machine, place)
        assert words.description and words.text.split()[0], instruction.mnemonic
        explained += 1
    assert explained > 0.8 * len(isa.instructions)


def test_bytes_that_are_no_instruction_have_no_explanation() -> None:
    machine = Machine("esp32p4")
    with pytest.raises(PiennError, match="there is no instruction"):
        machine.explain(machine.buffer(np.full(4, 0x57, np.uint32)).address)


@pytest.mark.parametrize("target", TARGETS)
def test_registers_are_shown_in_text_and_html(target: str) -> None:
    machine, _ = started(target)
    machine.set_lanes("q3", np.arange(8), "s16")
    machine.set_lanes("qacc", 7, {"esp32p4": "s64", "esp32s3": "s40"}[target])
    accumulator, stack = {"esp32p4": ("xacc", "sp"), "esp32s3": ("accx", "a1")}[target]
    machine.set_lanes(accumulator, -5, "s40")
    shown = machine.registers("s16")
    text = str(shown)
    assert "q3 [0 1 2 3 4 5 6 7]" in text and "QACC [7 7 7 7 7 7 7 7]" in text
    assert f"{accumulator.upper()} -5" in text and f"{stack} {machine.register('sp'):08x}" in text
    assert "<code>[0 1 2 3 4 5 6 7]</code>" in shown._repr_html_()
    assert "<table>" in machine._repr_html_() and target in repr(machine)


# ---------------------------------------------------------------------------------------------- tensors, pictures


def test_torch_tensors_go_in_and_come_back() -> None:
    torch = pytest.importorskip("torch")
    machine, _ = started("esp32p4")
    x = torch.arange(48, dtype=torch.int8)
    out = torch.zeros(48, dtype=torch.int8)
    machine.call("f", x, out)
    assert torch.equal(out, 2 * x)
    buffer = machine.buffer(torch.full((4, 2), 0.5, requires_grad=True))
    assert np.asarray(buffer).tolist() == [[0.5, 0.5]] * 4
    back = torch.zeros(4, 2)
    buffer.fill(np.full((4, 2), 2.5, np.float32))
    buffer.copy_to(back)
    assert back.tolist() == [[2.5, 2.5]] * 4


def test_what_is_no_tensor_is_named() -> None:
    machine, _ = started("esp32p4")
    with pytest.raises(PiennError, match="str: give a number, a buffer, a numpy array or a torch tensor"):
        machine.call("f", "x")  # type: ignore[arg-type]


def test_memory_is_an_image() -> None:
    machine = Machine("esp32p4")
    buffer = machine.buffer(np.array([[0, 100], [200, 255], [255, 0]], np.uint8))
    picture = machine.picture(buffer.address, (3, 2))
    assert np.array_equal(picture.values, buffer.value)
    assert picture.text() == "▄▄\n▀ "
    assert buffer.picture(low=0, high=255).grey().tolist() == buffer.value.tolist()
    coloured = picture.text(colour=True)
    assert "\x1b[38;5;232;48;5;" in coloured and coloured.count("▀") == 4


def test_the_png_holds_the_pixels(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib.image")
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    path = tmp_path / "picture.png"
    path.write_bytes(Picture(values, low=0, high=255).png(enlarge=2))
    read = np.rint(matplotlib.imread(path) * 255).astype(int)
    read = read if read.ndim == 2 else read[:, :, 0]
    assert read.tolist() == values.repeat(2, 0).repeat(2, 1).tolist()
    assert Picture(values).figure().axes[0].images[0].get_array().tolist() == values.tolist()


def test_an_image_needs_two_dimensions() -> None:
    with pytest.raises(PiennError, match="rows and columns"):
        Picture(np.zeros(5))
