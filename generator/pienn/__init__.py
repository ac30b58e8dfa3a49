"""PIE-NN: from a PyTorch model to bit-exact int8 firmware for the ESP32-P4 and ESP32-S3.

    import pienn
    quantized = pienn.quantize(module, calibration)      # torch module + float inputs -> int8 model
    pienn.export(quantized, example, "model.pie")        # the file that a firmware build needs

Importing ``pienn`` does not import torch; the two functions above do when they are first used.
"""

from typing import TYPE_CHECKING, Any

from pienn.errors import PiennError
from pienn.version import VERSION as __version__

if TYPE_CHECKING:
    from pienn.frontend import export, quantize

__all__ = ["PiennError", "__version__", "export", "quantize"]


def __getattr__(name: str) -> Any:
    if name in ("quantize", "export"):
        from importlib import import_module

        return getattr(import_module("pienn.frontend"), name)
    raise AttributeError(f"module 'pienn' has no attribute {name!r}")
