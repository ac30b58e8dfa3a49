"""`pienn verify` finds planted defects and names the layer: an equal verdict means something."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from pienn import cli
from pienn.codegen import native, packing
from pienn.commands import verify as verify_command
from pienn.ir import file
from pienn.ir.builder import GraphBuilder


def sample_graph():
    """Every stored input uses the eighth bit, so that pad values and zero points matter."""
    source = np.random.default_rng(5)

    def weight(*shape):
        return source.integers(-127, 128, shape).astype(np.int8)

    def bias(size):
        return source.integers(-4000, 4000, size).astype(np.int32)

    b = GraphBuilder("sample")
    x = b.input("x", (9, 7, 5), -5, -128, (1, 2, 0))
    stem = b.conv2d(
        x, b.constant("w0", weight(20, 3, 3, 5)), b.constant("b0", bias(20)), layer="stem",
        weight_exponents=[-7 - i % 3 for i in range(20)], padding=(1, 0, 1, 2),
        exponent=-2, zero_point=-128, maximum=-60,
    )  # fmt: skip
    depthwise = b.conv2d(
        stem, b.constant("w1", weight(20, 3, 3, 1)), b.constant("b1", bias(20)), weight_exponents=[-7] * 20,
        padding=(1, 1, 1, 1), groups=20, exponent=-2, zero_point=0, layer="depthwise",
    )  # fmt: skip
    joined = b.add(stem, depthwise, exponent=-1, zero_point=0, layer="joined")
    pooled = b.max_pool2d(joined, kernel=(3, 3), strides=(2, 2), padding=(1, 1, 1, 1), layer="pooled")
    averaged = b.avg_pool2d(
        pooled, kernel=(2, 2), strides=(1, 1), exponent=-2, zero_point=0, layer="averaged"
    )
    size = prod(averaged.type.get_shape())
    flat = b.reshape(averaged, shape=(size,), layer="flat")
    scores = b.fully_connected(
        flat, b.constant("w2", weight(10, size)), b.constant("b2", bias(10)),
        weight_exponents=[-9] * 10, exponent=1, zero_point=0, layer="classifier",
    )  # fmt: skip
    b.output("y", scores, (0,))
    return b.build()


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "sample.pie"
    file.write(sample_graph(), path)
    return path


def run_verify(model: Path, *options: str) -> tuple[int, dict]:
    """Exit code and JSON of `pienn verify`."""
    report = model.with_suffix(".json")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify", str(model), "--random", "24", "--seed", "7", "--json", str(report), *options])
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), json.loads(report.read_text())


def test_a_sound_model_is_equal_everywhere(model, capsys):
    code, report = run_verify(model)
    assert code == 0 and report["equal"] and report["first_difference"] is None
    assert report["places"][0] == "interpreter" and report["places"][-1] == "c"
    assert report["inputs"] == 24 and report["macs"] == 9 * 7 * 20 * (45 + 9) + 10 * 240
    assert all(count > 0 for count in report["layers_compared"].values())
    assert "equal: " in capsys.readouterr().out


# (file of src_ref, text, its defective replacement, the layer that must be named)
C_DEFECTS = {
    "pad value": ("conv2d_s8.c", ": p->padding_value;", ": 0;", "stem"),
    "swapped channels": ("conv2d_s8.c", "value * weight[lane]", "value * weight[lane ^ 1]", "stem"),
    "missing clamp": (
        "conv2d_s8.c",
        "clamp(saturate8(scaled), p->minimum, p->maximum)",
        "saturate8(scaled)",
        "stem",
    ),
    "window off by one": ("max_pool2d_s8.c", "ky < p->kernel_height", "ky < p->kernel_height - 1", "pooled"),
    "mean truncates": ("arithmetic.h", "quotient -= remainder < 0;", "(void)remainder;", "averaged"),
    "rail at -127": (
        "arithmetic.h",
        "clamp(value, INT8_MIN, INT8_MAX)",
        "clamp(value, -127, INT8_MAX)",
        "stem",
    ),
    "depth one short": ("fully_connected_s8.c", "< p->depth", "< p->depth - 1", "classifier"),
}


@pytest.mark.parametrize("defect", C_DEFECTS)
def test_defects_of_the_c_layers_are_located(model, tmp_path, monkeypatch, defect):
    name, text, wrong, layer = C_DEFECTS[defect]
    component = tmp_path / "component"
    for folder in ("include", "src_ref"):
        shutil.copytree(native.component_folder() / folder, component / folder)
    source = component / "src_ref" / name
    assert text in source.read_text()
    source.write_text(source.read_text().replace(text, wrong))
    monkeypatch.setattr(native, "component_folder", lambda: component)
    native._layers.cache_clear()
    monkeypatch.setattr(native, "_process_folder", lambda: type("Folder", (), {"name": str(tmp_path)}))
    code, report = run_verify(model)
    native._layers.cache_clear()
    assert code == 1 and not report["equal"]
    assert report["first_difference"]["place"] == "c"
    assert report["first_difference"]["layer"] == layer


def test_wrong_rounding_in_the_packed_bias_is_located(model, monkeypatch):
    monkeypatch.setattr(packing, "rounding", lambda shift: np.zeros_like(shift, np.int64))
    code, report = run_verify(model)
    assert code == 1 and report["first_difference"]["layer"] == "stem"


def test_a_buffer_in_the_wrong_place_is_found(model, monkeypatch):
    sound = verify_command.plan

    def overlapping(*arguments):
        planned = sound(*arguments)
        return replace(planned, arena=replace(planned.arena, offsets=dict.fromkeys(planned.arena.offsets, 0)))

    monkeypatch.setattr(verify_command, "plan", overlapping)
    code, report = run_verify(model)
    assert code == 1 and report["first_difference"]["place"] == "c"


def test_a_pass_that_changes_a_weight_is_named(model, monkeypatch):
    sound = verify_command.stages

    def broken(graph, target):
        for name, after in sound(graph, target):
            if name == "fuse-activation":
                after.weights = {
                    key: np.where(array == 127, array - 1, array) for key, array in after.weights.items()
                }
            yield name, after

    monkeypatch.setattr(verify_command, "stages", broken)
    code, report = run_verify(model)
    assert code == 1
    assert report["first_difference"]["place"] == "after fuse-activation"
    assert report["first_difference"]["layer"] == "stem"


def test_dump_writes_every_tensor(model, tmp_path):
    code, _ = run_verify(model, "--dump", str(tmp_path / "dump"))
    assert code == 0
    in_numpy = np.load(tmp_path / "dump" / "interpreter" / "stem.0.npy")
    in_c = np.load(tmp_path / "dump" / "c" / "stem.0.npy")
    assert in_numpy.shape == (16, 9, 7, 20) and np.array_equal(in_numpy, in_c)


def test_inputs_from_a_file(model, tmp_path):
    np.savez(tmp_path / "x.npz", np.random.default_rng(1).uniform(-1, 9, (3, 5, 9, 7)).astype(np.float32))
    code, report = run_verify(model, "--inputs", str(tmp_path / "x.npz"))
    assert code == 0 and report["inputs"] == 3
