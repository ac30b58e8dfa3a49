"""Pictures to train and test on, as the camera's path delivers them: rendered traffic signs, or folders of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import signs
import torch
from camera import Camera, to_rgb565
from residual_net import SIZE
from rich.progress import track

TESTED_EVERY = 5
"""Of a folder's images, in the order of their names, one of so many is tested on."""
LARGEST = 2048
"""Pixels: what camera.c takes."""


class MissingPictures(Exception):
    """Why there are no pictures to train on."""


@dataclass
class Pictures:
    inputs: torch.Tensor
    """uint8 [N, 3, SIZE, SIZE]"""
    labels: torch.Tensor
    originals: list[np.ndarray]
    """uint8 [height, width, 3]: the first picture of each class, before anything was done to it."""

    def reals(self, chosen: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """The network's float inputs: 0 to 1, in steps of 1/256."""
        return self.inputs[chosen].float() / 256


def through_camera(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """uint8 [N, 3, SIZE, SIZE]: with the colours of RGB565, as a camera sends them."""
    camera = Camera()
    fitted = np.stack([camera.fit(to_rgb565(picture), SIZE) for picture in pictures])
    return torch.from_numpy(np.ascontiguousarray(fitted.transpose(0, 3, 1, 2)))


def rendered(classes: Sequence[str], per_class: int, seed: int, what: str) -> Pictures:
    """`per_class` signs of each class."""
    source = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(classes)), per_class)
    pictures = [signs.render(classes[label], source) for label in track(labels, description=what)]
    return Pictures(through_camera(pictures), torch.from_numpy(labels), pictures[::per_class])


def read_image(path: Path) -> np.ndarray:
    """uint8 [height, width, 3], made smaller where the camera's path would not take it."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingPictures("reading images needs Pillow: pip install pillow") from None
    try:
        with Image.open(path) as image:
            image.thumbnail((LARGEST, LARGEST))
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise MissingPictures(f"{path} is no image that can be read: {error}") from None


def from_folders(folder: Path) -> tuple[list[str], Pictures, Pictures]:
    """Classes, training and test pictures: one folder of images for each class."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(classes) < 2:
        raise MissingPictures(f"{folder} has no two folders of images: each class is a folder with its name")
    parts: tuple[list[tuple[int, np.ndarray]], list[tuple[int, np.ndarray]]] = ([], [])
    for label, name in enumerate(classes):
        for index, path in enumerate(sorted((folder / name).iterdir())):
            parts[index % TESTED_EVERY == 0].append((label, read_image(path)))
    made = []
    for part in parts:
        labels = [label for label, _ in part]
        if set(labels) != set(range(len(classes))):
            raise MissingPictures(f"{folder}: each class needs at least {TESTED_EVERY} images")
        first = [part[labels.index(label)][1] for label in range(len(classes))]
        made.append(Pictures(through_camera([image for _, image in part]), torch.tensor(labels), first))
    return classes, made[0], made[1]
