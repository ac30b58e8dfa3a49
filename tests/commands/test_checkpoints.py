"""A .pt2 file and a state dict of the same module become the same network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from test_compile_run import call
from torch import nn

from pienn.ir import file, interpreter

FACTORY = """
from torch import nn
def build():
    net = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(),
                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(45, 4), nn.BatchNorm1d(4))
    return net.eval(), (2, 6, 6)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "small_net.py").write_text(FACTORY)
    names: dict = {}
    exec(FACTORY, names)
    torch.manual_seed(1)
    net: nn.Module = names["build"]()[0]
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean = torch.randn_like(module.running_mean)
            module.running_var = torch.rand_like(module.running_var) + 0.5
    torch.save(net.state_dict(), folder / "small.pt")
    np.savez(folder / "inputs.npz", np.random.default_rng(0).normal(size=(16, 2, 6, 6)).astype(np.float32))
    for name, batch, dynamic in (("fixed", 1, None), ("dynamic", 2, ({0: torch.export.Dim.DYNAMIC},))):
        program = torch.export.export(net, (torch.zeros(batch, 2, 6, 6),), dynamic_shapes=dynamic)
        torch.export.save(program, folder / f"{name}.pt2")
    return folder


def test_every_way_gives_the_same_numbers(folder, monkeypatch):
    monkeypatch.chdir(folder)
    ways = {
        "weights": ["--factory", "small_net:build", "--weights", "small.pt"],
        "fixed": ["fixed.pt2"],
        "dynamic": ["dynamic.pt2"],
    }
    stored = np.random.default_rng(3).integers(-128, 128, (8, 6, 6, 2)).astype(np.int8)
    results = {}
    for name, way in ways.items():
        assert call("export", *way, "--calibration", "inputs.npz", "-o", f"{name}.pie") == 0
        (results[name],) = interpreter.run(file.read(folder / f"{name}.pie"), [stored])
    assert np.array_equal(results["weights"], results["fixed"])
    assert np.array_equal(results["weights"], results["dynamic"])


def test_compile_takes_a_checkpoint_directly(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    assert call("compile", "fixed.pt2", "--calibration", "inputs.npz", "-o", tmp_path) == 0
    assert (tmp_path / "fixed.c").is_file()


def test_verify_takes_a_checkpoint_and_names_torch_first(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    report = tmp_path / "report.json"
    way = ["--factory", "small_net:build", "--weights", "small.pt", "--inputs", "inputs.npz"]
    assert call("verify", *way, "--json", report) == 0
    found = json.loads(report.read_text())
    assert (
        found["places"][0] == "torch" and found["equal"] and found["inputs"] == 16 and found["sqnr_db"] > 20
    )
