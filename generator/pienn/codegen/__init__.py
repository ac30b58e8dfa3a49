"""From a plan to C: packed constants, parameter structs, and one readable file that calls the layers."""

from pienn.codegen.generate import generate

__all__ = ["generate"]
