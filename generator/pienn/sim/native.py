"""ctypes binding of the C core: one class per C structure, `core()` gives the loaded library with typed functions."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from enum import IntEnum, IntFlag

from pienn.sim.build import library

CHIPS = {"esp32p4": 0, "esp32s3": 1}
REGION_KINDS = ("SRAM", "PSRAM", "flash", "TCM")


class Stop(IntEnum):
    """Why a run ended; the order is that of `enum SimStop`."""

    NONE = 0
    LIMIT = 1
    BREAKPOINT = 2
    RETURNED = 3
    UNKNOWN_INSTRUCTION = 4
    UNIMPLEMENTED = 5
    FETCH = 6
    UNMAPPED = 7
    READ_ONLY = 8
    UNDECLARED = 9
    UNWRITTEN = 10
    MISALIGNED = 11
    WATCHPOINT = 12
    PIE_UNINITIALISED = 13
    PIE_DISABLED = 14
    CSR = 15
    LOOP_RULE = 16
    SEMIHOST = 17
    SYSCALL = 18
    BREAK = 19
    EXCEPTION = 20


class Permission(IntFlag):
    READ = 1
    WRITE = 2
    EXECUTE = 4


class Shadow(IntFlag):
    """State of one byte of memory in checked runs."""

    DECLARED = 1
    WRITTEN = 2
    CONSTANT = 4
    WATCH_READ = 8
    WATCH_WRITE = 16


class Check(IntFlag):
    """Options of a run; 0 is the fast engine without any check."""

    MEMORY = 1
    PIE_INIT = 2
    LOOPS = 4
    CSR = 8
    BREAKPOINTS = 16
    PROFILE = 32
    ALIGNMENT = 64
    TRUNCATION = 128


class Field(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("offset", c_uint32), ("size", c_uint32), ("count", c_uint32)]


class Traffic(ctypes.Structure):
    _fields_ = [
        (name, c_uint64)
        for name in (
            "reads",
            "read_bytes",
            "writes",
            "written_bytes",
            "line_fills",
            "line_writebacks",
            "stall_cycles",
        )
    ]


class CacheShape(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("line", c_uint32), ("ways", c_uint32)]


_PER_KIND = c_uint32 * len(REGION_KINDS)


class MemoryShape(ctypes.Structure):
    _fields_ = [
        ("l1", CacheShape),
        ("l2", CacheShape),
        ("l2_hit", c_uint32),
        ("first", _PER_KIND),
        ("per_8_bytes_x16", _PER_KIND),
        ("write_first", _PER_KIND),
        ("write_per_8_bytes_x16", _PER_KIND),
        ("cached", _PER_KIND),
        ("sequential_saving", _PER_KIND),
    ]


_FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "sim_new": (c_void_p, [c_int, c_int]),
    "sim_free": (None, [c_void_p]),
    "sim_map": (c_int, [c_void_p, c_uint32, c_uint32, c_int, c_int]),
    "sim_read": (c_uint32, [c_void_p, c_uint32, c_void_p, c_uint32]),
    "sim_write": (c_uint32, [c_void_p, c_uint32, c_void_p, c_uint32]),
    "sim_shadow_set": (c_int, [c_void_p, c_uint32, c_uint32, c_uint8, c_uint8]),
    "sim_shadow_read": (c_uint32, [c_void_p, c_uint32, c_void_p, c_uint32]),
    "sim_flush_code": (None, [c_void_p]),
    "sim_state": (c_void_p, [c_void_p]),
    "sim_fields": (POINTER(Field), [c_int, POINTER(c_uint32)]),
    "sim_mark_initialised": (None, [c_void_p, c_int]),
    "sim_run": (c_int, [c_void_p, c_uint64, c_uint32]),
    "sim_pc": (c_uint32, [c_void_p]),
    "sim_set_pc": (None, [c_void_p, c_uint32]),
    "sim_stop_address": (c_uint32, [c_void_p]),
    "sim_cycles": (c_uint64, [c_void_p]),
    "sim_instructions": (c_uint64, [c_void_p]),
    "sim_reset_counters": (None, [c_void_p]),
    "sim_set_return_address": (None, [c_void_p, c_uint32]),
    "sim_set_breakpoint": (c_int, [c_void_p, c_uint32, c_int]),
    "sim_disable_units": (None, [c_void_p, c_uint32]),
    "sim_set_timing": (None, [c_void_p, c_int]),
    "sim_set_memory_shape": (None, [c_void_p, POINTER(MemoryShape)]),
    "sim_traffic": (POINTER(Traffic), [c_void_p, c_int]),
    "sim_empty_caches": (None, [c_void_p]),
    "sim_profile": (None, [c_void_p, c_uint32, c_uint32, POINTER(c_uint64)]),
    "sim_clear_profile": (None, [c_void_p]),
    "sim_decode": (c_int, [c_void_p, c_void_p, c_uint32, POINTER(c_int32), POINTER(c_int)]),
    "sim_mnemonic": (c_char_p, [c_int, c_int]),
    "sim_operations": (c_uint32, [c_int]),
    "sim_operation_implemented": (c_int, [c_int, c_int]),
}


@functools.lru_cache(maxsize=1)
def core() -> ctypes.CDLL:
    """The compiled core, built on first use. Raises PiennError when that is not possible."""
    loaded = ctypes.CDLL(str(library()))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype = result
        function.argtypes = arguments
    return loaded
