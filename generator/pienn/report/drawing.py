"""The pictures of a report as inline SVG.

Lengths along the page's width are percentages and text keeps its size in pixels: the same picture fits a phone and a
sheet of paper and stays legible on both. Colours are CSS classes of the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor
from typing import Any

from markupsafe import Markup, escape

Report = Mapping[str, Any]

CALL_HEIGHT = 22  # px of one call in the picture of the memory
NODE_Y, LANE_WIDTH = 15, 12  # px: of a layer's node below the row's top; between wires
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# ---- Text ----


def count(number: float) -> str:
    return f"{number:,.0f}"


def rate(number: float) -> str:
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def short(number: int) -> str:
    """Three or four digits with M or G for large numbers."""
    for unit, factor in (("G", 10**9), ("M", 10**6)):
        if number >= factor:
            return f"{number / factor:.{1 if number >= 100 * factor else 2}f} {unit}"
    return count(number)


def size(number: int) -> str:
    """Bytes for a person."""
    if number < 10_240:
        return f"{number:,} B"
    return f"{number / 1024:,.1f} KiB" if number < 10 << 20 else f"{number / (1 << 20):,.1f} MiB"


def shape(axes: Sequence[int]) -> str:
    return "×".join(map(str, axes))


def encoding(row: Mapping[str, Any]) -> str:
    """What a stored q stands for: `(q + 128) · 2⁻⁴`."""
    zero = row["zero_point"]
    stored = f"(q {'+' if zero < 0 else '−'} {abs(zero)})" if zero else "q"
    return f"{stored} · 2{str(row['exponent']).translate(SUPERSCRIPTS)}"


def css_class(family: str) -> str:
    return family.replace(" ", "-")


# ---- SVG ----


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """One element; attribute names have _ for -, a trailing _ is dropped, None leaves one out; all values escaped."""
    written = [
        f' {name.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for name, value in attributes.items()
        if value is not None
    ]
    return Markup(f"<{tag}{''.join(written)}>{''.join(str(escape(child)) for child in children)}</{tag}>")


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.4f}".rstrip("0").rstrip(".") + "%" if whole else "0%"


def picture(*children: Any, label: str, height: int | None = None, class_: str | None = None) -> Markup:
    """An SVG as wide as its place, `height` px high."""
    return element("svg", *children, role="img", aria_label=label, class_=class_, width="100%", height=height)


def labelled_box(
    label: str, hint: str, class_: str, x: float, width: float, y: int, height: int, whole: float
) -> Markup:
    """A rectangle with as much of its label as fits; the label stands upright in high, narrow ones."""
    share = width / whole
    room = ("" if share >= 0.2 else "short") if share >= 0.07 else None
    if share < 0.1 and height >= 3.5 * CALL_HEIGHT:
        room = "upright" if share >= 0.06 else "upright narrow" if share >= 0.022 else None
    text = None
    if room is not None:
        text = element(
            "foreignObject",
            Markup('<div xmlns="http://www.w3.org/1999/xhtml" class="label {}"><bdi>{}</bdi></div>').format(
                room, label
            ),
            width="100%",
            height="100%",
        )
    return element(
        "svg",
        element("title", hint),
        element("rect", width="100%", height="100%", class_=f"box {class_}"),
        text or "",
        x=percent(x, whole),
        y=y,
        width=percent(width, whole),
        height=height,
    )


# ---- The network ----


Lane = tuple[int, int, int, set[int]]
"""A wire that passes layers by: from row, to row, number of the lane, the rows that it enters."""


def wires(report: Report) -> list[Markup]:
    """For every input, layer and output the part of the network's wiring that is beside it."""
    sources = _sources(report)
    families = [
        *("port" for _ in report["inputs"]),
        *(css_class(layer["family"]) for layer in report["layers"]),
        *("port" for _ in report["outputs"]),
    ]
    neighbours = {row for row, own in enumerate(sources) if row - 1 in own}
    lanes = _lanes(sources)
    width = wire_width(report)
    return [_wire(row, families[row], neighbours, lanes, width) for row in range(len(sources))]


def wire_width(report: Report) -> int:
    return LANE_WIDTH * (2 + max((lane for _, _, lane, _ in _lanes(_sources(report))), default=0))


def _sources(report: Report) -> list[list[int]]:
    """The rows that each row reads; rows are inputs, layers, outputs."""
    first = len(report["inputs"])
    return [
        *([] for _ in report["inputs"]),
        *([first + place for place in layer["sources"]] for layer in report["layers"]),
        *([first + output["source"]] for output in report["outputs"]),
    ]


def _lanes(sources: Sequence[Sequence[int]]) -> list[Lane]:
    """The wires between rows that are not neighbours, in the fewest lanes."""
    readers: dict[int, set[int]] = {}
    for row, own in enumerate(sources):
        for source in own:
            if source < row - 1:
                readers.setdefault(source, set()).add(row)
    free_after: list[int] = []
    found = []
    for source, rows in sorted(readers.items()):
        lane = next((i for i, end in enumerate(free_after) if end < source), len(free_after))
        if lane == len(free_after):
            free_after.append(0)
        free_after[lane] = max(rows)
        found.append((source, max(rows), lane + 1, rows))
    return found


def _wire(row: int, family: str, neighbours: set[int], lanes: Iterable[Lane], width: int) -> Markup:
    x = LANE_WIDTH
    lines = []

    def line(x1: int, y1: Any, x2: int, y2: Any) -> None:
        lines.append(element("line", x1=x1, y1=y1, x2=x2, y2=y2))

    if row in neighbours:
        line(x, 0, x, NODE_Y)
    if row + 1 in neighbours:
        line(x, NODE_Y, x, "100%")
    for start, end, lane, rows in lanes:
        side = x + LANE_WIDTH * lane
        if start <= row <= end:
            line(side, NODE_Y if row == start else 0, side, NODE_Y if row == end else "100%")
        if row == start or row in rows:
            line(x, NODE_Y, side, NODE_Y)
    if family == "port":
        node = element("rect", x=x - 5, y=NODE_Y - 5, width=10, height=10, class_="port")
    else:
        node = element("circle", cx=x, cy=NODE_Y, r=6, class_=f"box {family}")
    return element("svg", *lines, node, width=width, height="100%", aria_hidden="true")


def longest(report: Report) -> int:
    """What the longest bar stands for: cycles, or MACs where none were counted."""
    simulated = "cycles" in report["totals"]
    return max((_length(layer, simulated) for layer in report["layers"]), default=1) or 1


def _length(layer: Mapping[str, Any], simulated: bool) -> int:
    return (layer["cycles"] or 0) + layer["unmeasured_bound"] if simulated else layer["macs"]


def cost_bar(layer: Mapping[str, Any], report: Report, whole: int) -> Markup:
    """Cycles: the fewest possible, what came on top, and hatched what a reference call would take at least."""
    if "cycles" not in report["totals"]:
        bar = element("rect", width=percent(layer["macs"], whole), height="100%", class_="least")
        return picture(bar, label=f"{layer['macs']} MAC", height=14, class_="bar")
    cycles, bound = layer["cycles"] or 0, layer["bound"]
    parts = [("least", 0, min(bound, cycles)), ("above", bound, max(0, cycles - bound))]
    parts.append(("unknown", cycles, layer["unmeasured_bound"]))
    drawn = [
        element("rect", x=percent(start, whole), width=percent(wide, whole), height="100%", class_=name)
        for name, start, wide in parts
        if wide
    ]
    label = f"{count(cycles)} cycles, issue bound {count(bound)}"
    if layer["unmeasured_bound"]:
        label += f"; reference not simulated, at least {count(layer['unmeasured_bound'])}"
    return picture(element("title", label), *drawn, label=label, height=14, class_="bar")


def home_class(homes: Sequence[Mapping[str, Any]]) -> str:
    """The colour of where a layer's constants lie."""
    if any(home["parts"] for home in homes):
        return "staged"
    return homes[0]["memory"] if homes else "least"


def plain_bar(part: float, whole: float, label: str, class_: str) -> Markup:
    bar = element("rect", width=percent(part, whole), height="100%", class_=class_)
    return picture(element("title", label), bar, label=label, height=10, class_="bar")


# ---- Memory ----


def ticks(total: int) -> list[int]:
    """Round numbers of bytes from 0 up to the total, five at most."""
    step = 16
    while total > 4 * step:
        step *= 2
    return list(range(0, total + 1, step))


def memory_scale(report: Report) -> Markup:
    total = report["arena"]["bytes"]
    marks = [
        element(
            "text",
            f"{tick // 1024} KiB" if tick and tick % 1024 == 0 else f"{tick} B" if tick else "0",
            x=percent(tick, total),
            y=13,
            text_anchor="start" if tick == 0 else "end" if tick > 0.93 * total else "middle",
        )
        for tick in ticks(total)
    ]
    return picture(*marks, label="bytes of the arena", height=18)


def memory(report: Report) -> Markup:
    """The arena: bytes across, calls down; every storage is a rectangle."""
    total, calls = report["arena"]["bytes"], report["calls"]
    height = CALL_HEIGHT * len(calls)
    lines = [
        element("line", x1=0, x2="100%", y1=CALL_HEIGHT * row, y2=CALL_HEIGHT * row, class_="rule")
        for row in range(len(calls) + 1)
    ]
    lines += [
        element("line", x1=percent(tick, total), x2=percent(tick, total), y1=0, y2=height, class_="rule")
        for tick in ticks(total)
    ]
    boxes = []
    for row in report["arena"]["storages"]:
        names = " → ".join(row["tensors"])
        until = f"calls {row['first']} to {row['last']}"
        hint = f"{names}: {count(row['bytes'])} bytes at {count(row['offset'])}, {until}"
        y, high = CALL_HEIGHT * row["first"], CALL_HEIGHT * (row["last"] - row["first"] + 1)
        boxes.append(
            labelled_box(
                names, hint, css_class(row["family"]), row["offset"], row["bytes"], y + 1, high - 2, total
            )
        )
    return picture(*lines, *boxes, label="what lies where in the arena at which call", height=height)


def live(report: Report) -> Markup:
    """Bytes in use at each call."""
    arena = report["arena"]
    most = max(arena["live"], default=0)
    bars = [
        element(
            "rect",
            element("title", f"call {row}: {count(used)} bytes in use"),
            y=CALL_HEIGHT * row + 3,
            height=CALL_HEIGHT - 6,
            width=percent(used, arena["bytes"]),
            class_="peak" if used == most else "least",
        )
        for row, used in enumerate(arena["live"])
    ]
    height = CALL_HEIGHT * len(arena["live"])
    return picture(*bars, label="bytes in use at each call", height=height)


def moved(report: Report, memory: str) -> Markup:
    """The bytes that went to and from one memory, a piece for every layer."""
    whole = report["totals"]["moved"][memory]
    pieces, at = [], 0
    for layer in report["layers"]:
        own = layer["moved"].get(memory, 0)
        if own:
            hint = f"{layer['name']}: {count(own)} bytes, {100 * own / whole:.1f} %"
            pieces.append(
                labelled_box(layer["name"], hint, css_class(layer["family"]), at, own, 0, 26, whole)
            )
        at += own
    return picture(*pieces, label=f"bytes moved to and from {memory} by layer", height=26)


# ---- The ESP32-S3's proof ----


FARTHEST = 4  # bits: what lies beyond is drawn at the edge


def margin_range(report: Report) -> tuple[int, int]:
    """Whole bits around all margins that are not too far out."""
    margins = [block["margin"] for call in report["calls"] for block in call["proof"]]
    low, high = floor(min(margins, default=0)), ceil(max(margins, default=0))
    return max(min(low, -1), -FARTHEST), min(max(high, 1), FARTHEST)


def margin_scale(bits: tuple[int, int]) -> Markup:
    low, high = bits
    marks = [
        element(
            "text",
            "0" if bit == 0 else f"{bit:+d}".replace("-", "−"),
            x=percent(bit - low, high - low),
            y=13,
            text_anchor="middle",
        )
        for bit in range(low, high + 1)
    ]
    return picture(*marks, label="margin in bits", height=18)


MARKS = {
    "QACC": '<circle r="5.5" class="mark qacc"/>',
    "harmless saturation": '<path d="M0-6.5L6.5 5H-6.5Z" class="mark harmless"/>',
    "two digits": '<rect x="-5" y="-5" width="10" height="10" class="mark digits"/>',
}


def mark(mode: str) -> Markup:
    """The sign of a mode for the legend."""
    svg = f'<svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">{MARKS[mode]}</svg>'
    return Markup(svg)  # a constant


def margins(call: Mapping[str, Any], bits: tuple[int, int]) -> Markup:
    """One sign for every block of 16 outputs, by the distance of its largest sum from what a lane holds."""
    low, high = bits
    zero = percent(-low, high - low)
    drawn = [element("line", x1="0", x2="100%", y1=12, y2=12, class_="rule")]
    drawn.append(element("line", x1=zero, x2=zero, y1=0, y2=24, class_="rail"))
    for number, block in enumerate(call["proof"]):
        hint = (
            f"outputs {16 * number} to {16 * number + 15}: {block['mode']}, margin {block['margin']:.2f} bits"
        )
        if block["mode"] == "two digits":
            hint += f", {100 * block['fraction']:.0f} % of the inputs take a second MAC"
        drawn.append(
            element(
                "svg",
                element("title", hint),
                Markup(MARKS[block["mode"]]),  # a constant
                x=percent(min(max(block["margin"], low), high) - low, high - low),
                y=12,
                overflow="visible",
            )
        )
    return picture(*drawn, label=f"margins of {len(call['proof'])} blocks", height=24, class_="margins")
