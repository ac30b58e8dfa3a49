"""Modules that PT2E inserts after activations and weights: they watch, then imitate the quantisation.

Each stands in one of three modes: `"observe"` passes values through and collects statistics,
`"quantise"` replaces them by what int8 codes would hold, `"float"` passes values through.
Gradients pass straight through the rounding and stop where a value saturates, so the same modules serve
training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pienn.frontend.pt2e import ObserverBase
from pienn.frontend.ranges import HIGHEST_EXPONENT, LOWEST_EXPONENT, activation_exponent, weight_exponents

SAMPLE_SIZE = 1 << 17
"""Values kept per activation tensor for percentiles and squared errors."""


def quantised(x: Tensor, scale: Tensor, lowest: int, highest: int) -> Tensor:
    """`x` rounded half up to multiples of `scale` and saturated, with a straight-through gradient."""
    with torch.no_grad():
        codes = (x / scale).add_(0.5).floor_().clamp_(lowest, highest).mul_(scale)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return codes
    inside = torch.minimum(torch.maximum(x, lowest * scale), highest * scale)
    return inside + (codes - inside).detach()


class ActivationObserver(ObserverBase):
    """int8 per tensor, real = (q - zero_point) * 2^exponent, zero point 0 or -128.

    `never_negative` tells that the operators before this point cannot produce a negative value (or that it
    is a network input, where the calibration data alone decides). `exponent`/`fixed` pin the encoding.
    """

    qscheme = torch.per_tensor_affine
    quant_min = -128
    quant_max = 127

    def __init__(self, never_negative: bool = False, fixed: int | None = None, **_: object) -> None:
        super().__init__(dtype=torch.int8)
        self.never_negative = never_negative
        self.fixed = fixed
        self.mode = "observe"
        self.minimum = float("inf")
        self.maximum = float("-inf")
        self.exponent = 0 if fixed is None else fixed
        self.zero_point = 0 if fixed is None else -128
        self.channel_peaks: Tensor | None = None
        self.channel_power: Tensor | None = None
        self._seen = 0
        self._parts: list[Tensor] = []

    def reset(self) -> None:
        """Forget everything observed."""
        self.minimum, self.maximum, self._parts = float("inf"), float("-inf"), []
        self.channel_peaks, self.channel_power, self._seen = None, None, 0

    @property
    def sample(self) -> Tensor:
        """At most about `SAMPLE_SIZE` observed values, evenly strided over everything seen."""
        if not self._parts:
            return torch.zeros(1)
        joined = torch.cat(self._parts)
        return joined[:: max(1, joined.numel() // SAMPLE_SIZE)]

    def fit(self, rule: str, eighth_bit: bool) -> None:
        """Choose exponent and zero point from what was observed."""
        if self.fixed is not None:
            return
        unsigned = eighth_bit and self.never_negative and self.minimum >= 0.0
        self.zero_point = -128 if unsigned else 0
        self.exponent = activation_exponent(self.sample, self.minimum, self.maximum, unsigned, rule)

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.mode == "observe" and x.numel():
            self.minimum = min(self.minimum, float(x.detach().min()))
            self.maximum = max(self.maximum, float(x.detach().max()))
            self._observe_channels(x.detach())
            flat = x.detach().reshape(-1)
            self._parts.append(flat[:: max(1, 8 * flat.numel() // SAMPLE_SIZE)].clone())
        if self.mode != "quantise":
            return x
        scale = torch.tensor(2.0**self.exponent, dtype=x.dtype)
        return quantised(x, scale, -128 - self.zero_point, 127 - self.zero_point)

    def _observe_channels(self, x: Tensor) -> None:
        """Largest size and mean square per channel (axis 1), where the tensors seen have equally many."""
        if x.dim() < 2 or (self.channel_peaks is not None and len(self.channel_peaks) != x.shape[1]):
            self.channel_peaks, self.channel_power = torch.empty(0), None
            return
        channels = x.transpose(0, 1).reshape(x.shape[1], -1)
        peaks, power = channels.abs().amax(1), (channels * channels).mean(1)
        if self.channel_peaks is None or self.channel_power is None:
            self.channel_peaks, self.channel_power = peaks, power
        else:
            self.channel_peaks = torch.maximum(self.channel_peaks, peaks)
            self.channel_power = (self.channel_power * self._seen + power) / (self._seen + 1)
        self._seen += 1

    def calculate_qparams(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, **_: object
    ) -> tuple[Tensor, Tensor]:
        return torch.tensor(2.0**self.exponent), torch.tensor(self.zero_point)


@dataclass(frozen=True)
class Coarse:
    """How weight exponents differ from what their rule says: raised per channel, then kept between two bounds."""

    raised: Tensor | int = 0
    floor: int = LOWEST_EXPONENT
    ceiling: int = HIGHEST_EXPONENT


class WeightObserver(ObserverBase):
    """int8 codes -127..127 with one power-of-two exponent per channel of `axis`, or one in all (axis None)."""

    quant_min = -127
    quant_max = 127

    def __init__(self, axis: int | None = 0, highest_exponent: int | None = None, **_: object) -> None:
        super().__init__(dtype=torch.int8)
        self.ch_axis = axis
        self.qscheme = torch.per_tensor_symmetric if axis is None else torch.per_channel_symmetric
        self.highest_exponent = highest_exponent
        self.mode = "observe"
        self.follow = False
        self.granularity, self.rule = "channel", "mse"
        self.coarse = Coarse()
        self.exponents: Tensor | None = None

    def fit(self, weight: Tensor, granularity: str, rule: str, coarse: Coarse | None = None) -> None:
        """Choose the exponents of `weight`."""
        self.granularity, self.rule, self.coarse = granularity, rule, coarse or Coarse()
        if self.ch_axis is None:
            exponents = weight_exponents(weight.reshape(1, -1), 0, "tensor", rule)
        else:
            exponents = weight_exponents(weight, self.ch_axis, granularity, rule) + self.coarse.raised
            exponents = exponents.clamp(max=self.coarse.ceiling).clamp(min=self.coarse.floor)
        if self.highest_exponent is not None:
            exponents = torch.clamp(exponents, -15, self.highest_exponent)
        self.exponents = exponents

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.mode != "quantise":
            return x
        if self.follow or self.exponents is None:
            self.fit(x.detach(), self.granularity, self.rule, self.coarse)
        return quantised(x, self._scale(x), -127, 127)

    def _scale(self, weight: Tensor) -> Tensor:
        assert self.exponents is not None
        scale = torch.exp2(self.exponents.to(weight.dtype))
        if self.ch_axis is None:
            return scale.reshape(())
        shape = [1] * weight.dim()
        shape[self.ch_axis] = -1
        return scale.reshape(shape)

    def calculate_qparams(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, **_: object
    ) -> tuple[Tensor, Tensor]:
        assert self.exponents is not None
        scale = torch.exp2(self.exponents.double()).float()
        zero_points = torch.zeros(scale.shape, dtype=torch.int64)
        if self.ch_axis is None:
            return scale.reshape(()), zero_points.reshape(())
        return scale, zero_points
