"""The reference networks: oracle and graph agree in every element, and stay near the float network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from agreement import check_equal, rails, signal_to_noise
from simple_quantizer import lowered

NETWORKS = [
    "resnet8",
    "resnet8_large",
    "dscnn",
    "dscnn_tfl",
    "mobilenet_vww",
    "autoencoder",
    "autoencoder_tfl",
    "streaming_wakeword",
]


@pytest.fixture(scope="module")
def zoo(shared: Path):
    path = shared / "data" / "zoo" / "tiny_zoo.py"
    if not path.is_file():
        pytest.skip(f"no reference networks: {path} is absent")
    spec = importlib.util.spec_from_file_location("tiny_zoo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NETWORKS)
def test_reference_networks_agree_in_every_element(zoo, name: str) -> None:
    torch.manual_seed(1)
    network = zoo.load(name)
    shape = zoo.MODELS[name][1]
    scale = 255.0 if name.startswith("resnet") else 1.0
    calibration = torch.rand(8, *shape) * scale
    result = lowered(network, (calibration,))
    outputs = check_equal(result, (torch.cat([calibration, rails(shape, 3, scale)]),))
    with torch.no_grad():
        reference = network(calibration)
    assert signal_to_noise(reference, outputs[0][:8], result) > 15
    assert not any(op.name == "pienn.transpose" for op in result.graph.ops)
