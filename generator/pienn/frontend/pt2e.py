"""The only place where names of torchao are used.

torchao's PT2E flow inserts the observers that a `Quantizer` asks for, and turns them into
quantize/dequantize pairs. Importing torchao prints complaints about CUDA kernels that this package never
calls; they are kept from the terminal.
"""

from __future__ import annotations

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        from torchao.quantization.pt2e import ObserverBase
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import (
            QuantizationAnnotation,
            QuantizationSpec,
            Quantizer,
            SharedQuantizationSpec,
        )
    finally:
        logging.disable(_disabled)

ANNOTATION = "quantization_annotation"

__all__ = [
    "ANNOTATION",
    "ObserverBase",
    "QuantizationAnnotation",
    "QuantizationSpec",
    "Quantizer",
    "SharedQuantizationSpec",
    "convert_pt2e",
    "prepare_pt2e",
]
