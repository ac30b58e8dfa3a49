"""Listings: offset, bytes and source statement of every fragment, section by section."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pienn.isa.object import Object

_BYTES_PER_LINE = 8


def listing(object_: Object) -> str:
    """One line per statement that made bytes, labels on lines of their own, then the symbols."""
    lines: list[str] = []
    labels: dict[tuple[str | None, int], list[str]] = {}
    for name, place in object_.symbols.items():
        labels.setdefault(place, []).append(name)
    for section in object_.sections.values():
        if not section.size:
            continue
        lines.append(f"section {section.name} ({section.size} bytes)")
        shown: set[int] = set()
        for fragment in section.fragments:
            if fragment.offset not in shown:
                shown.add(fragment.offset)
                lines += [f"{'':31}{label}:" for label in labels.get((section.name, fragment.offset), ())]
            if not fragment.size:
                continue
            data = section.data[fragment.offset : fragment.offset + fragment.size]
            pieces = [data[i : i + _BYTES_PER_LINE].hex() for i in range(0, len(data), _BYTES_PER_LINE)] or [
                ""
            ]
            place = f"{fragment.location.file}:{fragment.location.line}"
            first = (
                f"{fragment.offset:08x}  {pieces[0]:<{2 * _BYTES_PER_LINE}}     {fragment.text:<44} {place}"
            )
            lines.append(first.rstrip())
            for number, piece in enumerate(pieces[1:4], 1):
                lines.append(f"{fragment.offset + number * _BYTES_PER_LINE:08x}  {piece}")
            if len(pieces) > 4:
                lines.append(f"{'':10}... {len(data)} bytes")
        lines.append("")
    return "\n".join(lines) + "\n"
