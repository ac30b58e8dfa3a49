"""Choice of power-of-two exponents from statistics of activations and from weights.

Everything here is a pure function of tensors. An exponent `e` means real = integer * 2^e.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pienn.errors import PiennError

LOWEST_EXPONENT = -64
HIGHEST_EXPONENT = 63
BLOCK = 16
"""Output channels that one shift instruction of the ESP32-S3 requantises together."""

ACTIVATION_RULES = ("minmax", "percentile", "mse")
WEIGHT_RULES = ("mse", "ceil", "round")
GRANULARITIES = ("tensor", "block", "sorted", "channel")

_CANDIDATES = 5
"""Exponents tried by squared error: the covering one and the next finer ones."""


def covering_exponent(low: float, high: float, lowest: int, highest: int) -> int:
    """The finest exponent at which `low..high` rounds into `lowest..highest` without saturation.

    Half a step beyond the last code still rounds to it. An all-zero range gives an exponent in the
    middle of the field, where nothing else is forced to move.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PiennError(f"range {low}..{high} is not finite")
    need = max(high / (highest + 0.5), low / (lowest - 0.5) if lowest < 0 else 0.0)
    if need <= 0.0:
        return -7
    mantissa, exponent = math.frexp(need)
    exponent = exponent - 1 if mantissa == 0.5 else exponent
    return min(max(exponent, LOWEST_EXPONENT), HIGHEST_EXPONENT)


def activation_exponent(
    sample: Tensor, minimum: float, maximum: float, unsigned: bool, rule: str, percentile: float = 99.99
) -> int:
    """The exponent of one activation tensor.

    `sample` is a flat float tensor of observed values, `minimum`/`maximum` the exact extremes. `unsigned`
    means codes 0..255 (zero point -128), else -128..127. `rule` is one of `ACTIVATION_RULES`.
    """
    lowest, highest = (0, 255) if unsigned else (-128, 127)
    if rule == "percentile":
        tail = (100.0 - percentile) / 100.0
        ordered = torch.sort(sample).values
        last = ordered.numel() - 1
        minimum = float(ordered[math.floor(tail * last)])
        maximum = float(ordered[math.ceil((1.0 - tail) * last)])
    exponent = covering_exponent(minimum, maximum, lowest, highest)
    if rule != "mse":
        return exponent
    values = sample.double()
    errors = []
    for candidate in range(exponent, exponent - _CANDIDATES, -1):
        scale = 2.0**candidate
        codes = torch.clamp(torch.floor(values / scale + 0.5), lowest, highest)
        errors.append((float(torch.sum((codes * scale - values) ** 2)), -candidate))
    return max(-min(errors)[1], LOWEST_EXPONENT)


def _channel_errors(rows: Tensor, covering: Tensor) -> Tensor:
    """Squared error `[candidate, channel]` of rows `[channel, elements]` at exponents covering - candidate."""
    errors = []
    for step in range(_CANDIDATES):
        scale = torch.exp2(covering - step).unsqueeze(1)
        codes = torch.clamp(torch.round(rows / scale), -127, 127)
        errors.append(((codes * scale - rows) ** 2).sum(1))
    return torch.stack(errors)


def _covering(peaks: Tensor) -> Tensor:
    """Per channel, the finest exponent whose codes -127..127 hold the peak (not rounded into it)."""
    mantissa, exponent = torch.frexp(peaks / 127.0)
    exponent = torch.where(mantissa == 0.5, exponent - 1, exponent).to(peaks.dtype)
    return torch.clamp(exponent, LOWEST_EXPONENT, HIGHEST_EXPONENT)


def _group_exponent(rows: Tensor, rule: str) -> int:
    """One exponent for all rows together."""
    peak = rows.abs().max()
    if float(peak) == 0.0:
        return LOWEST_EXPONENT
    if rule == "round":
        return int(torch.clamp(torch.round(torch.log2(peak / 127.0)), LOWEST_EXPONENT, HIGHEST_EXPONENT))
    flat = rows.reshape(1, -1)
    covering = _covering(flat.abs().amax(1))
    if rule == "ceil":
        return int(covering)
    best = int(torch.argmin(_channel_errors(flat, covering)[:, 0]))
    return max(int(covering) - best, LOWEST_EXPONENT)


def _per_channel(rows: Tensor, rule: str) -> Tensor:
    peaks = rows.abs().amax(1)
    dead = peaks == 0
    safe = torch.where(dead, torch.ones_like(peaks), peaks)
    if rule == "round":
        exponents = torch.round(torch.log2(safe / 127.0))
    else:
        exponents = _covering(safe)
        if rule == "mse":
            exponents = exponents - torch.argmin(_channel_errors(rows, exponents), 0)
    exponents = torch.clamp(exponents, LOWEST_EXPONENT, HIGHEST_EXPONENT)
    alive = exponents[~dead]
    filler = alive.min() if alive.numel() else torch.tensor(-7.0, dtype=rows.dtype)
    return torch.where(dead, filler, exponents)


def weight_exponents(weight: Tensor, axis: int, granularity: str, rule: str) -> Tensor:
    """int64 exponents `[channels]` of a weight whose output channels lie on `axis`.

    `granularity` is one of `GRANULARITIES`: one exponent for the tensor, one for 16 neighbouring channels
    ("block"), one for 16 channels after sorting the channels by their own exponents ("sorted": the planner
    may pack channels in that order), or one per channel. `rule` is one of `WEIGHT_RULES`.
    """
    rows = weight.detach().transpose(0, axis).reshape(weight.shape[axis], -1).double()
    channels = rows.shape[0]
    if granularity == "channel":
        return _per_channel(rows, rule).to(torch.int64)
    if granularity == "tensor":
        groups = [torch.arange(channels)]
    else:
        order = torch.arange(channels)
        if granularity == "sorted":
            order = torch.argsort(_per_channel(rows, rule), stable=True, descending=True)
        groups = list(order.split(BLOCK))
    exponents = torch.empty(channels, dtype=torch.int64)
    for group in groups:
        exponents[group] = _group_exponent(rows[group], rule)
    dead = exponents == LOWEST_EXPONENT
    if bool(dead.any()):
        exponents[dead] = exponents[~dead].min() if not bool(dead.all()) else -7
    return exponents
