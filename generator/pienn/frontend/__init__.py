"""From torch to the graph: capture, quantisation, oracle, lowering. README.md shows the way through the files.

Torch is imported when `quantize` or `export` is first used, not before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pienn.frontend.model import QuantizedModel, export, quantize

__all__ = ["QuantizedModel", "export", "quantize"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("pienn.frontend.model"), name)
    raise AttributeError(f"module 'pienn.frontend' has no attribute {name!r}")
