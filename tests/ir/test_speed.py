"""A network of MobileNetV2's size stays quick in the hands of the generator."""

from __future__ import annotations

import io
import time

import numpy as np
from networks import mobilenet_v2

from pienn.ir import archive, file
from pienn.ir.interpreter import run
from pienn.passes.pipeline import pipeline
from pienn.plan.kernels import macs_of

SECONDS = 20
"""Bound on a busy machine; a quiet core takes 1 to 2 s for each."""


def test_mobilenet_v2_is_written_read_optimised_and_run_in_time() -> None:
    graph = mobilenet_v2()
    assert sum(array.size for array in graph.weights.values()) > 3_400_000
    assert sum(map(macs_of, graph.layers)) > 300_000_000
    start = time.process_time()
    again = file._from_members(archive.unpack(io.BytesIO(file.to_bytes(graph)), file.LIMITS))
    optimised = pipeline(again, "host")
    assert time.process_time() - start < SECONDS
    image = np.random.default_rng(0).integers(-128, 128, (1, 224, 224, 3)).astype(np.int8)
    start = time.process_time()
    (scores,) = run(optimised, [image])
    assert time.process_time() - start < SECONDS
    assert scores.shape == (1, 1000) and scores.std() > 5
