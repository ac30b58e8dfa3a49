"""A zip archive of the plainest kind: members stored one after the other, dated 1980-01-01 00:00.

Any zip tool reads what `pack` writes.  `unpack` takes nothing else: every header is compared with the one that
`pack` would have written, so there is no room for duplicate, hidden, compressed, encrypted or overlapping members.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

LOCAL = struct.Struct("<4s5H3L2H")
"""Local file header: signature, version, flags, method, time, date, crc, stored size, size, name, extra."""

CENTRAL = struct.Struct("<4s6H3L5H2L")
"""Central directory entry; as LOCAL, with the version that wrote it, comment, disk, attributes, offset."""

END = struct.Struct("<4s4H2LH")
"""End of central directory: disks, entries, size and offset of the directory, comment."""

VERSION, STORED, TIME, DATE = 20, 0, 0, (1 << 5) | 1


class ArchiveError(ValueError):
    """What is wrong with the bytes, in one line."""


def pack(members: Mapping[str, bytes]) -> bytes:
    """The archive's bytes; equal members give equal bytes."""
    body, directory = bytearray(), bytearray()
    for name, data in members.items():
        crc = zlib.crc32(data)
        directory += _central(name, crc, len(data), len(body))
        body += _local(name, crc, len(data)) + data
    return bytes(body + directory + _end(len(members), len(directory), len(body)))


def unpack(stream: BinaryIO, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The members named in `limits`, in that order and no others, each at most so many bytes; else ArchiveError.

    Sizes are compared with the limits before anything of a member is read.
    """
    members: dict[str, bytes] = {}
    directory = bytearray()
    offset = 0
    for name, limit in limits.items():
        header = stream.read(LOCAL.size + len(name))
        if len(header) != LOCAL.size + len(name) or not header.startswith(b"PK\x03\x04"):
            raise ArchiveError(f"it has no member {name} where one should be")
        crc, stored, size = LOCAL.unpack_from(header)[6:9]
        if header[LOCAL.size :] != name.encode("ascii"):
            raise ArchiveError(f"it has another member where {name} should be")
        if LOCAL.unpack_from(header)[3] != STORED:
            raise ArchiveError(f"its member {name} is compressed")
        if stored > limit or size > limit:
            raise ArchiveError(f"its member {name} has {max(stored, size)} bytes, more than {limit}")
        if header != _local(name, crc, stored):
            raise ArchiveError(f"the header of its member {name} is not as this program writes it")
        data = stream.read(size)
        if len(data) != size:
            raise ArchiveError(f"it ends within the member {name}")
        if zlib.crc32(data) != crc:
            raise ArchiveError(f"the checksum of its member {name} is wrong")
        members[name] = data
        directory += _central(name, crc, size, offset)
        offset += len(header) + size
    rest = bytes(directory) + _end(len(limits), len(directory), offset)
    if stream.read(len(rest) + 1) != rest:
        raise ArchiveError("it holds more or other members than it should, or its directory is damaged")
    return members


def _local(name: str, crc: int, size: int) -> bytes:
    return (
        LOCAL.pack(b"PK\x03\x04", VERSION, 0, STORED, TIME, DATE, crc, size, size, len(name), 0)
        + name.encode()
    )


def _central(name: str, crc: int, size: int, offset: int) -> bytes:
    dates = VERSION, VERSION, 0, STORED, TIME, DATE
    return (
        CENTRAL.pack(b"PK\x01\x02", *dates, crc, size, size, len(name), 0, 0, 0, 0, 0, offset) + name.encode()
    )


def _end(entries: int, size: int, offset: int) -> bytes:
    return END.pack(b"PK\x05\x06", 0, 0, entries, entries, size, offset, 0)
