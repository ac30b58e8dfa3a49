"""State dicts, safetensors, factories, calibration files: what is taken, and how the rest is refused."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import attacks
import numpy as np
import pytest
import torch
from attacks import Net, Payload, refused
from torch import nn

import pienn
from pienn.errors import PiennError
from pienn.frontend.calibration import batches
from pienn.frontend.checkpoint import load_factory, load_weights, read_safetensors, read_state_dict
from pienn.frontend.loading import load_quantized

FACTORY = "attacks:build"


def trained() -> Net:
    net = Net().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.25)
    return net


def safetensors(path: Path, header: Any, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


@pytest.mark.parametrize("form", ["plain", "nested", "parallel", "old", "safetensors"])
def test_weights_in_every_usual_form(form: str, tmp_path: Path):
    net, path = trained(), tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    state = net.state_dict()
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif form == "parallel":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form != "old")
    loaded = Net().eval()
    load_weights(loaded, path)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(loaded(x), net(x))


def test_a_pickled_module_is_refused_with_the_way_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "whole.pt"
    torch.save(Net(), path)
    for arguments in (["export", str(path)], ["export", str(path), "--factory", FACTORY]):
        refused(
            [*arguments, "--random", "4", "-o", str(tmp_path / "x.pie")], "would run code.*--factory", capfd
        )


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_in_a_state_dict_is_not_executed(
    zipped: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    torch.save({"conv.weight": Payload(mark)}, path, _use_new_zipfile_serialization=zipped)
    refused(
        ["export", str(path), "--factory", FACTORY, "-o", str(tmp_path / "x.pie")], "would run code", capfd
    )
    assert not mark.exists()


def test_torchscript_is_refused_with_the_way_out(tmp_path: Path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/code/__torch__.py", "class Net: ...")
        archive.writestr("script/data.pkl", b"")
    with pytest.raises(PiennError, match=r"TorchScript.*--factory"):
        read_state_dict(path)


def test_truncated_weights_are_refused(tmp_path: Path):
    path = tmp_path / "w.pt"
    torch.save(trained().state_dict(), path)
    data = path.read_bytes()
    for length in range(0, len(data), len(data) // 15):
        path.write_bytes(data[:length])
        with pytest.raises(PiennError) as refusal:
            read_state_dict(path)
        assert "\n" not in str(refusal.value)


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BAD_SAFETENSORS = {
    "impossible shape": {"a": {"dtype": "F32", "shape": [0, 1 << 60], "data_offsets": [0, 0]}},
    "does not fit": {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
    "does not say": {"a": {"dtype": "F32", "shape": [2], "data_offsets": ["0", "8"]}},
    "element type": {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}},
    "described twice": b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "a": {}}',
    "not valid JSON": b"{nonsense}",
    "not a list": b"[1]",
}


@pytest.mark.parametrize("message", BAD_SAFETENSORS)
def test_hostile_safetensors_are_refused(message: str, tmp_path: Path):
    with pytest.raises(PiennError, match=message):
        read_safetensors(safetensors(tmp_path / "w.safetensors", BAD_SAFETENSORS[message], bytes(8)))


def test_truncated_and_oversized_safetensors_headers_are_refused(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    for data in (b"", b"abc", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 100) + b"{}"):
        path.write_bytes(data)
        with pytest.raises(PiennError, match="truncated"):
            read_safetensors(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    bad: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    net, path = trained(), tmp_path / "w.pt"
    with torch.no_grad():
        net.fc.weight[1, 2] = bad
    torch.save(net.state_dict(), path)
    refused(
        ["export", str(path), "--factory", FACTORY, "-o", str(tmp_path / "x.pie")], "fc.weight.*NaN", capfd
    )


def test_weights_that_do_not_fit_name_the_first_misfit(tmp_path: Path):
    path = tmp_path / "w.pt"
    torch.save({**trained().state_dict(), "more": torch.zeros(1)}, path)
    with pytest.raises(PiennError, match="'more' belongs to no layer"):
        load_weights(Net(), path)
    torch.save({"conv.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(PiennError, match=r"conv\.weight"):
        load_weights(Net(), path)


@pytest.mark.parametrize(
    "reference, message",
    [
        ("nowhere", "module:function"),
        ("no_such_module_here:build", "No module named"),
        ("attacks:nothing", "no function nothing"),
        ("attacks:Path", "not a torch.nn.Module"),
        ("attacks:edit_json", "TypeError"),
    ],
)
def test_factories_that_fail_say_how(reference: str, message: str):
    with pytest.raises(PiennError, match=message) as refusal:
        load_factory(reference)
    assert "\n" not in str(refusal.value)


def test_factory_shapes():
    assert load_factory(FACTORY).shapes == ((3, 8, 8),)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((0, 3, 8, 8), np.float32), "no inputs"),
        (np.zeros((4, 8, 8, 3), np.float32), r"shape \(4, 8, 8, 3\), but the network takes \(N, 3, 8, 8\)"),
        (np.full((4, 3, 8, 8), np.nan, np.float32), "NaN"),
        (np.array([{}], dtype=object), "plain arrays"),
        (np.zeros((4, 3, 8, 8), np.complex64), "complex"),
    ],
)
def test_bad_calibration_is_refused(
    array: np.ndarray, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    path = tmp_path / "c.npz"
    np.savez(path, x=array)
    arguments = ["export", "--factory", FACTORY, "--calibration", str(path), "-o", str(tmp_path / "x.pie")]
    refused(arguments, message, capfd)
    assert not (tmp_path / "x.pie").exists()


def test_calibration_files_that_are_none_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "c.npz"
    arguments = ["export", "--factory", FACTORY, "--calibration", str(path), "-o", str(tmp_path / "x.pie")]
    refused(arguments, "c.npz", capfd)
    path.write_bytes(b"PK\x03\x04 cut")
    refused(arguments, "no readable", capfd)


def test_float_pt2_without_calibration_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = attacks.good_pt2(tmp_path / "net.pt2")
    refused(["export", str(path), "-o", str(tmp_path / "x.pie")], "--calibration", capfd)


def test_a_file_without_factory_names_the_way_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "w.pt"
    torch.save(trained().state_dict(), path)
    refused(["export", str(path), "-o", str(tmp_path / "x.pie")], "--factory", capfd)
    refused(["export", str(tmp_path / "none.pt2"), "-o", str(tmp_path / "x.pie")], "No such file", capfd)


def test_uint8_and_int8_calibration_are_reals(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (32, 3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "u.npz", images)
    np.savez(tmp_path / "f.npz", images.astype(np.float32))
    first = load_quantized(None, FACTORY, None, tmp_path / "u.npz", None)
    second = load_quantized(None, FACTORY, None, tmp_path / "f.npz", None)
    assert first.output_sqnr == second.output_sqnr
    assert tuple(first.lowered.program.inputs[0].encoding) == (0, -128)


def test_calibration_of_several_inputs_is_taken_by_name(tmp_path: Path):
    class Two(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left.relu() + right.mean(2)

    batch = {0: torch.export.Dim("batch")}
    example = (torch.zeros(2, 5), torch.zeros(2, 5, 4))
    path = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two().eval(), example, dynamic_shapes=(batch, batch)), path)
    np.savez(tmp_path / "c.npz", right=np.ones((8, 5, 4), np.float32), left=-np.ones((8, 5), np.float32))
    model = load_quantized(path, None, None, tmp_path / "c.npz", None)
    assert [tensor.name for tensor in model.lowered.program.inputs] == ["left", "right"]
    assert model(-torch.ones(1, 5), torch.ones(1, 5, 4)).tolist() == [[1.0] * 5]


def test_batches_of_a_data_loader_drop_the_labels():
    data = [(torch.ones(40, 3, 8, 8), torch.zeros(40)), (torch.ones(8, 3, 8, 8), torch.zeros(8))]
    found = batches(data, Net())
    assert [len(batch) for batch in found] == [1, 1, 1]
    assert [len(batch[0]) for batch in found] == [32, 8, 8]


def test_random_calibration_is_the_same_every_time():
    first = load_quantized(None, FACTORY, None, None, 16, seed=3)
    second = load_quantized(None, FACTORY, None, None, 16, seed=3)
    assert first.layer_sqnr == second.layer_sqnr


def test_a_program_quantised_elsewhere_needs_no_calibration(tmp_path: Path):
    """A converted PT2E program, saved and read again, computes the same integers."""
    x = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    original = pienn.quantize(trained(), x)
    path = tmp_path / "quantised.pt2"
    torch.export.save(original.program, path)
    model = load_quantized(path, None, None, None, None)
    assert model.output_sqnr is None
    assert torch.equal(model(x), original(x))


def test_scales_that_are_no_powers_of_two_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    original = pienn.quantize(trained(), torch.randn(8, 3, 8, 8), ranges="minmax", refine=False)
    path = tmp_path / "quantised.pt2"
    torch.export.save(original.program, path)
    scale = 2.0 ** original.lowered.program.inputs[0].encoding.exponent

    def change(members: attacks.Members) -> None:
        text = members[attacks.GRAPH]
        members[attacks.GRAPH] = text.replace(f'"as_float": {scale}'.encode(), b'"as_float": 0.03')

    attacks.rewrite(path, tmp_path / "other.pt2", change)
    refused(["export", str(tmp_path / "other.pt2"), "-o", str(tmp_path / "x.pie")], "powers of two", capfd)


def test_export_writes_the_same_bytes_every_time(tmp_path: Path):
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    for name in ("a", "b"):
        pienn.export(trained(), None, tmp_path / f"{name}.pie", calibration=x, name="net")
    assert (tmp_path / "a.pie").read_bytes() == (tmp_path / "b.pie").read_bytes()


def test_export_of_a_float_module_needs_calibration(tmp_path: Path):
    with pytest.raises(PiennError, match="calibration"):
        pienn.export(trained(), torch.zeros(1, 3, 8, 8), tmp_path / "x.pie")
    assert not (tmp_path / "x.pie").exists()


def test_export_takes_a_converted_module_and_a_program(tmp_path: Path):
    from pienn.ir import file

    original = pienn.quantize(trained(), torch.randn(16, 3, 8, 8))
    example = torch.zeros(1, 3, 8, 8)
    for i, model in enumerate((original, original.program, original.program.module())):
        pienn.export(model, example, tmp_path / f"{i}.pie", name="net")
    graphs = [file.read(tmp_path / f"{i}.pie") for i in range(3)]
    assert len({tuple(sorted(graph.weights)) for graph in graphs}) == 1
    assert str(graphs[0].module) == str(graphs[1].module) == str(graphs[2].module)


def test_layers_that_are_only_numbers_survive_the_passes(tmp_path: Path):
    """`nn.Sequential` calls its layers 0, 1, 2; such names must live in a graph that is cloned and printed."""
    from pienn.ir import file

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    pienn.export(net, None, tmp_path / "s.pie", calibration=torch.randn(8, 3, 8, 8))
    clone = file.read(tmp_path / "s.pie").clone()
    file.write(clone, tmp_path / "t.pie")
    assert (tmp_path / "t.pie").exists()
