"""Train a classifier of camera pictures and write what the firmware is built from.

python train.py                      # traffic signs, rendered
python train.py --data pictures      # own images: one folder for each class
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from camera import Camera, to_rgb565
from pictures import MissingPictures, Pictures, from_folders, rendered
from residual_net import PictureNet
from rich.console import Console
from rich.progress import track
from signs import CLASSES, HEIGHT, WIDTH
from torch import nn

import pienn
from pienn.codegen.native import Native
from pienn.commands.arrays import to_graph
from pienn.ir import file
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan

BATCH, RATE, CALIBRATED_ON = 64, 4e-3, 128
BUILT_IN = 3
"""Pictures in the firmware."""
EXPORTS = {"classifier": {}, "classifier_esp32s3": {"eighth_bit": False, "weights": "block"}}
"""Graph files and their options of `pienn.quantize`; the second is faster on the ESP32-S3."""
console = Console()


def varied(inputs: torch.Tensor) -> torch.Tensor:
    """Moved by up to two pixels in each direction, and with other light."""
    padded = nn.functional.pad(inputs, (2, 2, 2, 2), mode="replicate")
    top, left = torch.randint(0, 5, (2,)).tolist()
    inputs = padded[..., top : top + inputs.shape[2], left : left + inputs.shape[3]]
    light = 0.8 + 0.4 * torch.rand(len(inputs), 1, 1, 1)
    return torch.clamp(inputs * light, 0, 255 / 256)


def train(model: nn.Module, pictures: Pictures, epochs: int) -> None:
    """Adam with one cycle of the rate."""
    batches = -(-len(pictures.labels) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * batches)
    model.train()
    for _ in track(range(epochs), description="training in float", console=console):
        order = torch.randperm(len(pictures.labels))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            scores = model(varied(pictures.reals(chosen)))
            loss = nn.functional.cross_entropy(scores, pictures.labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()


def camera_sized(picture: np.ndarray) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]: the middle of a picture of any size between grey bars, for the firmware."""
    square = Camera().fit(picture, HEIGHT)
    sized = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    left = (WIDTH - HEIGHT) // 2
    sized[:, left : left + HEIGHT] = square
    return picture if picture.shape == sized.shape else sized


def write_pictures(path: Path, classes: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
    """pictures.h: RGB565 pictures for a firmware without camera, and what they show."""
    chosen = range(1, 1 + BUILT_IN) if len(classes) > BUILT_IN else range(len(classes))
    sizes = {"PICTURES": len(chosen), "PICTURE_WIDTH": WIDTH, "PICTURE_HEIGHT": HEIGHT}
    text = [
        "/* Made by train.py: pictures that were not trained on. Do not edit. */",
        "#include <stdint.h>",
        "",
    ]
    text += [f"#define {name} {value}" for name, value in sizes.items()]
    labels = ", ".join(f'"{classes[index]}"' for index in chosen)
    text += [f"static const char *const picture_labels[PICTURES] = {{{labels}}};"]
    text += ["static const uint8_t pictures[PICTURES][2 * PICTURE_WIDTH * PICTURE_HEIGHT] = {"]
    for index in chosen:
        rows = to_rgb565(camera_sized(pictures[index])).reshape(-1, 32)
        text += ["    {", *("        " + ", ".join(map(str, row)) + "," for row in rows), "    },"]
    path.write_text("\n".join([*text, "};", ""]))


def write_ppm(path: Path, picture: np.ndarray) -> None:
    height, width, _ = picture.shape
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + picture.tobytes())


def write_classes(path: Path, classes: Sequence[str]) -> None:
    """classes.h: in the order of the network's outputs."""
    listed = ", ".join(json.dumps(name) for name in classes)
    text = f"#define CLASSES {len(classes)}\nstatic const char *const classes[CLASSES] = {{{listed}}};\n"
    path.write_text("/* Made by train.py. Do not edit. */\n" + text)


def accuracy(scores: np.ndarray, labels: torch.Tensor) -> float:
    return round(100.0 * float(np.mean(scores.argmax(axis=1) == labels.numpy())), 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path("build/image_classification")
    parser.add_argument("--output", type=Path, default=default, help="folder of results")
    parser.add_argument("--data", type=Path, metavar="DIR", help="train on images: one folder for each class")
    parser.add_argument("--pictures", type=int, default=400, help="to render for training, of each class")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--width", type=int, default=16, help="channels of the network's first layer")
    parser.add_argument(
        "--exports", nargs="+", default=list(EXPORTS), choices=EXPORTS, help="graph files to write"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    began = time.monotonic()

    try:
        if options.data:
            classes, training, test = from_folders(options.data)
        else:
            classes = CLASSES
            training = rendered(classes, options.pictures, options.seed, "rendering")
            test = rendered(classes, max(options.pictures // 4, 1), options.seed + 1, "rendering")
    except MissingPictures as why:
        raise SystemExit(f"error: {why}") from None
    model = PictureNet(len(classes), options.width)
    train(model, training, options.epochs)
    torch.save(model.state_dict(), options.output / "classifier.pt")

    with torch.no_grad():
        float_scores = model(test.reals()).numpy()
    found: dict[str, object] = {
        "classes": list(classes),
        "training pictures": len(training.labels),
        "test pictures": len(test.labels),
        "accuracy in float, %": accuracy(float_scores, test.labels),
    }
    calibration = training.reals(torch.randperm(len(training.labels))[:CALIBRATED_ON])
    for name in options.exports:
        with console.status(f"quantising {name}"):
            quantized = pienn.quantize(model, calibration, name="classifier", **EXPORTS[name])
            pienn.export(quantized, None, options.output / f"{name}.pie")
        graph = file.read(options.output / f"{name}.pie")
        with Native(plan(pipeline(graph, "host"))) as native:
            (scores,) = native.run([to_graph(test.reals().numpy(), graph.inputs[0])])
        found[f"accuracy in int8, {name}.pie, %"] = accuracy(scores, test.labels)
    np.save(options.output / "test_inputs.npy", test.reals(slice(100)).numpy())
    write_classes(options.output / "classes.h", classes)
    write_pictures(options.output / "pictures.h", classes, test.originals)
    for name, picture in zip(classes, test.originals):
        write_ppm(options.output / f"{name}.ppm", picture)
    found["seconds"] = round(time.monotonic() - began)
    (options.output / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, value in found.items():
        console.print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    console.print(f"all files are in {options.output}")


if __name__ == "__main__":
    main()
