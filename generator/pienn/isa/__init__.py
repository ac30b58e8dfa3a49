"""Instruction sets of the ESP32-P4 and the ESP32-S3: tables, assembler, disassembler."""

from pienn.isa.table import Encoding, Instruction, Isa, Operand, State, load

__all__ = ["Encoding", "Instruction", "Isa", "Operand", "State", "load"]
