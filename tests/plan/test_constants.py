"""Where constants go: costs of caches against a cache, budgets, and what pays."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wide_network import wide_network

from pienn.codegen.packed import pack
from pienn.commands.arrays import random_stored
from pienn.commands.memory import bytes_of, describe_homes, memories
from pienn.commands.simulated import Simulated
from pienn.errors import PiennError
from pienn.plan.constants import Budget
from pienn.plan.memory_costs import CacheLevel, MemoryCosts
from pienn.plan.plan import plan


class Cache:
    """Sets of lines, each in the order of its last use."""

    def __init__(self, sets: int, ways: int):
        self.sets, self.ways = [OrderedDict() for _ in range(sets)], ways

    def misses(self, line: int) -> bool:
        kept = self.sets[line % len(self.sets)]
        missed = line not in kept
        kept[line] = None
        kept.move_to_end(line)
        if len(kept) > self.ways:
            kept.popitem(last=False)
        return missed


@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 60), st.integers(1, 4))
def test_passes_over_a_block_miss_as_often_as_predicted(sets, ways, lines, passes):
    sets = 2**sets
    cache = Cache(sets, ways)
    missed = sum(cache.misses(line) for _ in range(passes) for line in range(lines))
    level = CacheLevel(sets * ways * 32, 32, ways, 1.0)
    assert MemoryCosts("flash", (level,)).read_cycles(lines * 32, passes) == missed


def homes(graph, target, sram=None, weights="flash", staging=True):
    packed = pack(plan(graph, target)).placed(
        Budget(memories(f"{target}@{CLOCK[target]}"), weights, sram, staging)
    )
    return packed.plan, {call.op.layer: call.home for call in packed.plan.calls if call.home.bytes}


CLOCK = {"esp32p4": 360, "esp32s3": 240}


def test_a_block_that_the_cache_cannot_hold_is_staged_and_others_are_read_in_place():
    planned, found = homes(wide_network(), "esp32s3")
    assert len(found["large"].parts) == 2 and "saves" in found["large"].why
    assert not found["small"].parts and found["small"].why.startswith("read in place")
    assert any("staged: 2 blocks" in line for line in describe_homes(planned))


def test_the_larger_caches_of_the_other_chip_make_staging_useless():
    _, found = homes(wide_network(), "esp32p4")
    assert not found["large"].parts
    assert found["large"].why == "read in place: a cache holds each block, so each byte is fetched once"


@pytest.mark.parametrize("weights", ["flash", "PSRAM"])
def test_staging_saves_in_the_simulator_what_was_predicted(weights):
    graph, cycles, predicted = wide_network(), {}, 0
    for staging in (False, True):
        budget = Budget(memories("esp32s3@240"), weights, None, staging)
        simulated = Simulated(plan(graph, "esp32s3"), "esp32s3@240", budget)
        simulated.run(random_stored(graph, 1, 0))
        cycles[staging] = sum(layer.cycles or 0 for layer in simulated.layers)
        if staging:
            predicted = sum(layer.call.home.saved for layer in simulated.layers)
    assert cycles[False] - cycles[True] == pytest.approx(predicted, rel=0.02)
    assert cycles[True] < cycles[False] / 4


def test_what_fits_the_budget_moves_into_sram_the_largest_gain_for_a_byte_first():
    graph = wide_network()
    base = plan(graph, "esp32s3").arena.total
    all_bytes = sum(home.bytes for home in homes(graph, "esp32s3")[1].values())
    planned, found = homes(graph, "esp32s3", base + all_bytes)
    assert {home.memory for home in found.values()} == {"SRAM"}
    assert planned.sram_bytes <= base + all_bytes
    planned, found = homes(graph, "esp32s3", base + found["small"].bytes)
    assert found["small"].memory == "SRAM" and found["large"].memory == "flash"
    assert "no room in SRAM" in found["large"].why
    for room in range(0, all_bytes + 4096, 4096):
        assert homes(graph, "esp32s3", base + room)[0].sram_bytes <= base + room


def test_an_arena_larger_than_the_budget_goes_to_psram():
    planned, found = homes(wide_network(), "esp32s3", 4096)
    assert planned.arena_memory == "PSRAM" and planned.sram_bytes <= 4096
    assert found["large"].why == "read in place 16 times: no room in SRAM for a copy"


def test_beside_an_arena_in_psram_layers_are_staged_through_a_buffer_of_their_own():
    graph = wide_network(size=24)
    all_bytes = homes(graph, "esp32s3")[1]["large"].bytes
    planned, found = homes(graph, "esp32s3", all_bytes - 1)
    assert planned.arena_memory == "PSRAM" and len(found["large"].parts) == 2
    largest = max(part.bytes for part in found["large"].parts)
    assert planned.staging_bytes == largest <= planned.sram_bytes < all_bytes


def test_constants_that_must_be_in_sram_and_do_not_fit_are_an_error():
    with pytest.raises(
        PiennError, match="do not fit 4096 bytes of SRAM: put the constants in flash or PSRAM"
    ):
        homes(wide_network(), "esp32s3", 4096, "SRAM")


def test_staging_can_be_left_out():
    _, found = homes(wide_network(), "esp32s3", staging=False)
    assert found["large"].why == "read in place 16 times: staging is off"


def test_sizes_are_read_with_their_units():
    assert [bytes_of(text) for text in ("262144", "256K", "256kb", "1M", "1MiB")] == [
        262144,
        262144,
        262144,
        1 << 20,
        1 << 20,
    ]
    for wrong in ("", "K", "1.5M", "-1", "12 bytes"):
        with pytest.raises(PiennError, match="not a size"):
            bytes_of(wrong)
