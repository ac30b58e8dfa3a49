"""Pictures of traffic signs, rendered: perspective, light, shadow, blur and noise are drawn at random.

A sign is a stack of shapes, given by their signed distance (negative inside) in the sign's own plane, where it
reaches from -1 to 1, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from camera import HEIGHT, WIDTH
from scipy.ndimage import gaussian_filter, uniform_filter1d

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
RED, BLUE, WHITE, YELLOW, BLACK = (190, 25, 35), (20, 70, 165), (235, 235, 230), (240, 190, 20), (25, 25, 25)


def disc(radius: float) -> Distance:
    return lambda x, y: np.hypot(x, y) - radius


def polygon(*corners: tuple[float, float]) -> Distance:
    """Convex, corners clockwise on the screen."""

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        found = np.full_like(x, -9.0)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0])):
            length = np.hypot(x1 - x0, y1 - y0)
            np.maximum(found, ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length, out=found)
        return found

    return distance


def regular(corners: int, radius: float, turn: float) -> Distance:
    """A regular polygon; `turn` in corners."""
    angles = 2 * np.pi * (np.arange(corners) + turn) / corners
    return polygon(*((radius * np.sin(a), -radius * np.cos(a)) for a in angles))


def strokes(width: float, *lines: Sequence[tuple[float, float]]) -> Distance:
    """Open lines through points, drawn with a round pen."""

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        found = np.full_like(x, 9.0)
        for line in lines:
            for (x0, y0), (x1, y1) in pairwise(line):
                along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
                along = np.clip(along, 0, 1)
                np.minimum(found, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)), out=found)
        return found - width / 2

    return distance


def letters(text: str, size: float, width: float) -> Distance:
    """Text in the middle, `size` high, of seven-segment strokes, in which S T O P and digits are readable."""
    top, middle, bottom = -0.5, 0.0, 0.5
    a, b = ((-0.25, top), (0.25, top)), ((0.25, top), (0.25, middle))
    c, d = ((0.25, middle), (0.25, bottom)), ((-0.25, bottom), (0.25, bottom))
    e, f = ((-0.25, middle), (-0.25, bottom)), ((-0.25, top), (-0.25, middle))
    g, stem = ((-0.25, middle), (0.25, middle)), ((0.0, top), (0.0, bottom))
    segments = {
        "S": (a, f, g, c, d), "T": (a, stem), "O": (a, b, c, d, e, f), "P": (a, b, e, f, g), "0": (a, b, c, d, e, f),
        "1": (b, c), "2": (a, b, g, e, d), "3": (a, b, g, c, d), "5": (a, f, g, c, d), "6": (a, f, g, e, c, d),
        "7": (a, b, c), "8": (a, b, c, d, e, f, g), "9": (a, b, c, d, f, g),
    }  # fmt: skip
    step = 0.75
    lines = []
    for place, letter in enumerate(text):
        shift = (place - (len(text) - 1) / 2) * step
        lines += [[((x + shift) * size, y * size) for x, y in line] for line in segments[letter]]
    return strokes(width, *lines)


def arrow(turn: float) -> tuple[Distance, Distance]:
    """Shaft and head of an arrow to the right, turned by quarters anticlockwise."""
    cosine, sine = np.cos(turn * np.pi / 2), np.sin(turn * np.pi / 2)

    def turned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * cosine + y * sine, y * cosine - x * sine) for x, y in points]

    return strokes(0.24, turned([(-0.55, 0), (0.2, 0)])), polygon(
        *turned([(0.15, -0.4), (0.65, 0), (0.15, 0.4)])
    )


def shapes(name: str, source: np.random.Generator) -> list[tuple[tuple[int, int, int], Distance]]:
    """Colours and shapes of a sign, from the back to the front."""
    if name == "stop":
        octagon = [(WHITE, regular(8, 1.0, 0.5)), (RED, regular(8, 0.92, 0.5))]
        return [*octagon, (WHITE, letters("STOP", 0.55, 0.11))]
    if name == "give_way":
        return [(RED, regular(3, 1.1, 0.5)), (WHITE, regular(3, 0.68, 0.5))]
    if name == "no_entry":
        return [(WHITE, disc(1.0)), (RED, disc(0.94)), (WHITE, strokes(0.32, [(-0.52, 0), (0.52, 0)]))]
    if name == "priority_road":
        return [(BLACK, regular(4, 1.1, 0)), (WHITE, regular(4, 1.06, 0)), (YELLOW, regular(4, 0.72, 0))]
    if name == "speed_limit":
        text = str(source.choice(["20", "30", "50", "60", "70", "80", "90", "100"]))
        return [
            (RED, disc(1.0)),
            (WHITE, disc(0.76)),
            (BLACK, letters(text, 0.62 if len(text) < 3 else 0.5, 0.13)),
        ]
    if name == "no_stopping":
        cross = strokes(0.2, [(-0.6, -0.6), (0.6, 0.6)], [(-0.6, 0.6), (0.6, -0.6)])
        return [(RED, disc(1.0)), (BLUE, disc(0.8)), (RED, cross)]
    turns = {"turn_right": 0, "straight_on": 1, "turn_left": 2}
    return [(WHITE, disc(1.0)), (BLUE, disc(0.95)), *((WHITE, part) for part in arrow(turns[name]))]


NOTHING = "nothing"
CLASSES = (
    NOTHING, "stop", "give_way", "no_entry", "priority_road", "speed_limit", "no_stopping", "turn_left", "turn_right",
    "straight_on",
)  # fmt: skip


def something_else(source: np.random.Generator) -> list[tuple[tuple[int, int, int], Distance]]:
    """A coloured shape that is no sign: one or two discs or polygons."""
    corners = int(source.integers(2, 9))
    kind = disc if corners == 2 else lambda radius: regular(corners, radius, 0.3)
    picked = source.integers(0, 256, (2, 3))
    layers = [
        (tuple(map(int, picked[0])), kind(1.0)),
        (tuple(map(int, picked[1])), kind(source.uniform(0.3, 0.9))),
    ]
    return layers[: source.integers(1, 3)]


def between(cells: int, pixels: int) -> np.ndarray:
    """float32 [pixels, cells]: linear interpolation from cells to pixels."""
    places = np.linspace(0, cells - 1, pixels)[:, None]
    return np.maximum(0, 1 - np.abs(places - np.arange(cells))).astype(np.float32)


def scenery(source: np.random.Generator) -> np.ndarray:
    """float32 [HEIGHT, WIDTH, 3]: colours that change smoothly, with edges and grain."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells in (2, 5, 14):
        coarse = source.uniform(0, 255, (cells, cells + 1, 3)).astype(np.float32)
        coarse = 0.4 * coarse + 0.6 * coarse.mean(axis=2, keepdims=True)  # the world is mostly grey
        rows, columns = between(cells, HEIGHT), between(cells + 1, WIDTH)
        picture += np.einsum("hr,rck,wc->hwk", rows, coarse, columns, optimize=True)
    picture /= 3
    for _ in range(source.integers(0, 6)):
        top, left = source.integers(0, HEIGHT), source.integers(0, WIDTH)
        part = picture[top : top + source.integers(5, 80), left : left + source.integers(5, 80)]
        part += source.uniform(-80, 80, 3).astype(np.float32)
    return picture


def projected(source: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel lies in the sign's plane, and the size of a pixel there, for a sign somewhere in the middle."""
    angles = source.normal(0, (0.35, 0.25, 0.1))
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    turn = (
        np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
        @ np.array([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]])
    )
    radius = source.uniform(22, 56)
    distance = source.uniform(3, 8)  # in radii of the sign; near signs show more perspective
    middle = np.array([WIDTH / 2, HEIGHT / 2]) + source.uniform(-1, 1, 2) * max(58 - radius, 4)
    # A point (x, y) of the sign is seen at middle + focal * X / Z of turn @ (x, y, 0) + (0, 0, distance).
    focal = radius * distance
    camera = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
    plane = camera @ np.column_stack([turn[:, 0], turn[:, 1], [0, 0, distance]])
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    x, y, w = np.tensordot(np.linalg.inv(plane), np.stack([columns, rows, np.ones_like(rows)]), 1)
    return (x / w).astype(np.float32), (y / w).astype(np.float32), np.float32(1 / radius)


def render(name: str, source: np.random.Generator) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]: a camera's picture with the sign, or with none."""
    picture = scenery(source)
    is_sign = name != NOTHING
    if is_sign or source.random() < 0.6:
        x, y, pixel = projected(source)
        light = source.uniform(0.5, 1.1) + source.uniform(-0.2, 0.2) * x + source.uniform(-0.2, 0.2) * y
        for colour, distance in shapes(name, source) if is_sign else something_else(source):
            faded = np.clip(np.array(colour) * source.uniform(0.85, 1.1, 3) + source.uniform(0, 25), 0, 255)
            inside = np.clip(0.5 - distance(x, y) / pixel, 0, 1)[..., None]
            picture += inside * (faded.astype(np.float32) * light[..., None] - picture)
    if source.random() < 0.3:  # a shadow with a straight edge
        columns, rows = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
        angle, place = source.uniform(0, 2 * np.pi), source.uniform(-0.5, 0.5)
        shadow = np.clip((np.cos(angle) * columns + np.sin(angle) * rows - place) * 20, 0, 1)
        picture *= (1 - source.uniform(0.2, 0.6) * shadow)[..., None].astype(np.float32)
    if source.random() < 0.5:
        picture = gaussian_filter(picture, (*[source.uniform(0.3, 1.5)] * 2, 0))
    if source.random() < 0.3:  # the camera moved
        picture = uniform_filter1d(picture, int(source.integers(2, 7)), axis=int(source.integers(2)))
    picture *= source.uniform(0.5, 1.4) * source.uniform(0.85, 1.15, 3).astype(
        np.float32
    )  # exposure, white balance
    picture += source.normal(0, source.uniform(0, 12), picture.shape).astype(np.float32)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
