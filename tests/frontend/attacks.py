"""Makes hostile model files, each of which would leave a mark on disk if anything of it were executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pienn.cli import main


class Net(nn.Module):
    """One convolution, a linear and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, 2)
        self.register_buffer("gain", torch.full((1, 4, 1, 1), 1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc((self.conv(x) * self.gain).relu().mean((2, 3)))


def build() -> tuple[nn.Module, tuple[int, ...]]:
    """A factory for the command line."""
    return Net().eval(), (3, 8, 8)


class Payload:
    """Unpickling it creates the file `mark`."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def payload_bytes(mark: Path) -> bytes:
    return pickle.dumps(Payload(mark))


def torch_payload(mark: Path) -> bytes:
    """The same in the zip form of torch.save."""
    stream = io.BytesIO()
    torch.save(Payload(mark), stream)
    return stream.getvalue()


def good_pt2(path: Path, module: nn.Module | None = None, *shape: int) -> Path:
    """An honest float program with dynamic batch."""
    example = torch.zeros(2, *(shape or (3, 8, 8)))
    batch = {0: torch.export.Dim.AUTO}
    program = torch.export.export((module or Net()).eval(), (example,), dynamic_shapes=(batch,))
    torch.export.save(program, path)
    return path


Members = dict[str, bytes]


def rewrite(source: Path, target: Path, change: Callable[[Members], None]) -> Path:
    """The archive with its members changed; keys are paths below the root folder."""
    with zipfile.ZipFile(source) as archive:
        root = archive.namelist()[0].split("/")[0]
        members = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
    return target


def edit_json(name: str, change: Callable[[Any], None]) -> Callable[[Members], None]:
    """A change of one JSON member."""

    def apply(members: Members) -> None:
        document = json.loads(members[name])
        change(document)
        members[name] = json.dumps(document).encode()

    return apply


GRAPH = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"


def refused(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The command exits with 2 and one line on stderr that matches the message."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
    printed = capfd.readouterr().err
    lines = printed.strip().splitlines()
    assert stopped.value.code == 2, printed
    assert len(lines) == 1, printed
    assert re.search(message, lines[0]), printed
