"""Where the memories of the chips lie. Sources: esp-idf 102122904a components/soc/<chip>/include/soc/soc.h."""

from __future__ import annotations

from dataclasses import dataclass

from pienn.sim.native import REGION_KINDS, Permission


@dataclass(frozen=True)
class Region:
    """A block of address space: `kind` is one of SRAM, PSRAM, flash, TCM; sizes in bytes."""

    name: str
    kind: str
    base: int
    size: int
    permissions: Permission

    @property
    def kind_number(self) -> int:
        return REGION_KINDS.index(self.kind)


_ALL = Permission.READ | Permission.WRITE | Permission.EXECUTE
_DATA = Permission.READ | Permission.WRITE
_CONSTANT = Permission.READ | Permission.EXECUTE

REGIONS = {
    "esp32p4": (
        Region("SRAM", "SRAM", 0x4FF0_0000, 768 << 10, _ALL),
        Region("PSRAM", "PSRAM", 0x4800_0000, 32 << 20, _ALL),
        Region("flash", "flash", 0x4000_0000, 16 << 20, _CONSTANT),
        Region("TCM", "TCM", 0x3010_0000, 8 << 10, _ALL),
    ),
    # The S3's internal SRAM is seen twice; here code lies on the instruction bus, data on the data bus.
    "esp32s3": (
        Region("SRAM", "SRAM", 0x3FC8_8000, 480 << 10, _DATA),
        Region("IRAM", "SRAM", 0x4037_0000, 448 << 10, _ALL),
        Region("PSRAM", "PSRAM", 0x3D00_0000, 8 << 20, _ALL),
        Region("flash", "flash", 0x4200_0000, 16 << 20, _CONSTANT),
    ),
}
CODE_REGION = {"esp32p4": "SRAM", "esp32s3": "IRAM"}
EXTERNAL_READ_ONLY = {"esp32p4": "flash", "esp32s3": "flash"}
STACK_BYTES = 32 << 10
RETURN_ADDRESS = {"esp32p4": 0xFFFF_FFF0, "esp32s3": 0x7FFF_FFF0}
