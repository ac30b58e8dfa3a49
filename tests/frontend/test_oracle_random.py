"""Random programs: the oracle and the interpreted graph are equal in every element, rails included."""

from __future__ import annotations

import numpy as np
import torch
from agreement import check_equal
from hypothesis import HealthCheck, given, settings
from random_programs import programs

from pienn.frontend.lowering import lower_program
from pienn.frontend.operators import QuantisedProgram


def stored_inputs(program: QuantisedProgram) -> list[torch.Tensor]:
    """int8 inputs, batch 3: random values, only rails, and the rails themselves."""
    random = np.random.default_rng(7)
    inputs = []
    for tensor in program.inputs:
        values = random.integers(-128, 128, (3, *tensor.shape)).astype(np.int8)
        values[1] = random.choice(np.array([-128, 127], np.int8), tensor.shape)
        values[2] = -128
        inputs.append(torch.from_numpy(values))
    return inputs


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_random_programs_are_equal_in_oracle_and_graph(program: QuantisedProgram) -> None:
    lowered = lower_program(program, "random")
    check_equal(lowered, stored_inputs(program), "(hypothesis prints the blob that reproduces this program)")
