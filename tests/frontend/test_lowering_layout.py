"""Moving elements: any permutation of any factors of the axes arrives as torch has it."""

from __future__ import annotations

import numpy as np
import torch
from agreement import check_equal
from hypothesis import given, settings
from hypothesis import strategies as st

from pienn.frontend.layout import Layout
from pienn.frontend.lowering import lower_program
from pienn.frontend.operators import Encoding, Permute, QuantisedProgram, Reshape, Tensor

FACTORS = (2, 3, 4, 5, 1, 2)


@settings(max_examples=80, deadline=None)
@given(st.permutations(range(len(FACTORS))))
def test_any_permutation_of_factors_is_transposed_right(order: list[int]) -> None:
    encoding = Encoding(-3, 0)
    x = Tensor("x", (6, 20, 2), encoding)
    split = Tensor("split", FACTORS, encoding)
    moved = Tensor("moved", tuple(FACTORS[axis] for axis in order), encoding)
    flat = Tensor("flat", (240,), encoding)
    program = QuantisedProgram(
        [x],
        [
            Reshape(result=split, x=x),
            Permute(result=moved, x=split, order=tuple(order)),
            Reshape(result=flat, x=moved),
        ],
        [("output", flat)],
    )
    stored = torch.from_numpy(np.random.default_rng(1).integers(-128, 128, (2, 6, 20, 2)).astype(np.int8))
    output = check_equal(lower_program(program, "net"), [stored])[0]
    expected = stored.reshape(2, *FACTORS).permute(0, *(axis + 1 for axis in order)).reshape(2, 240)
    assert torch.equal(output, expected)


def test_a_reshape_that_cuts_across_factors_is_not_bookkeeping() -> None:
    layout = Layout.ordered((4, 6), (1, 0))
    assert layout.reshaped((3, 8)) is None
    assert layout.reshaped((2, 2, 6)) is not None


def test_layouts_cut_differently_match_when_they_hold_the_same_order() -> None:
    plain = Layout.ordered((6, 5), (1, 0))
    cut = Layout.ordered((2, 3, 5), (2, 0, 1)).reshaped((6, 5))
    assert cut is not None
    left, right = plain.matched(cut)
    assert left.sizes() == right.sizes() == (2, 3, 5)
    assert left.positions() == right.positions() == (2, 0, 1)
    turned = Layout.ordered((2, 3, 5), (2, 1, 0)).reshaped((6, 5))
    assert turned is not None
    left, right = plain.matched(turned)
    assert left.positions() != right.positions()
