"""Accuracy after post-training quantisation with the default recipe, over five draws of calibration inputs.

    python tests/benches/accuracy.py                      # data beside the checkout, prints a Markdown table
    python tests/benches/accuracy.py --network resnet8 --seeds 1
    python tests/benches/accuracy.py --option weights=channel --option weight_rule=round

Everything is computed by the integer oracle, so these are the accuracies of the chip. Exit code 1 when a
network misses the bar: mean loss at most 0.7 points, worst 1.3, agreement with float at least 97 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import pienn
from pienn.frontend.comparison import sqnr

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CALIBRATION_INPUTS = 256
MEAN_LOSS, WORST_LOSS, AGREEMENT = 0.7, 1.3, 97.0

Split = tuple[Tensor, Tensor, np.ndarray]
"""Calibration inputs, test inputs, test labels."""


def images(data: Path, seed: int) -> Split:
    """256 training images to calibrate with; the 1017 test images of cifar10_part."""
    stored = np.load(data / "cifar10_part" / "cifar10_part.npz")
    chosen = np.random.default_rng(seed).permutation(len(stored["train_x"]))[:CALIBRATION_INPUTS]

    def layout(x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2), dtype=np.float32))

    return layout(stored["train_x"][chosen]), layout(stored["test_x"]), stored["test_y"]


def keywords(data: Path, seed: int) -> Split:
    """200 of kws01's 1000 inputs to calibrate with, the other 800 to test."""
    stored = np.load(data / "kws01" / "kws01.npz")
    order = np.random.default_rng(seed).permutation(len(stored["x"]))
    x = (stored["x"].astype(np.float32) - 83) * np.float32(0.5847029)
    inputs = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return inputs[order[:200]], inputs[order[200:]], stored["y"][order[200:]]


NETWORKS: dict[str, Callable[[Path, int], Split]] = {
    "resnet8": images,
    "resnet8_large": images,
    "dscnn": keywords,
}


@dataclass
class Result:
    """One network, one draw of calibration inputs; accuracies and agreement in percent, SQNR in dB on the test."""

    network: str
    seed: int
    float_accuracy: float
    int8_accuracy: float
    agreement: float
    output_sqnr: float
    recipe: str
    seconds: float

    @property
    def loss(self) -> float:
        return self.float_accuracy - self.int8_accuracy


def in_chunks(run: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([run(chunk) for chunk in x.split(64)])


def load_network(models: Path, name: str) -> nn.Module:
    sys.path.insert(0, str(models))
    import tiny_zoo

    return tiny_zoo.load(name, str(models))


def measure(models: Path, data: Path, network: str, seed: int, options: dict[str, Any]) -> Result:
    module = load_network(models, network)
    calibration, inputs, labels = NETWORKS[network](data, seed)
    start = time.monotonic()
    model = pienn.quantize(module, calibration, name=network, **options)
    seconds = time.monotonic() - start
    exact, stored = in_chunks(module, inputs), in_chunks(model, inputs)
    return Result(
        network,
        seed,
        100.0 * float((exact.argmax(1).numpy() == labels).mean()),
        100.0 * float((stored.argmax(1).numpy() == labels).mean()),
        100.0 * float((exact.argmax(1) == stored.argmax(1)).float().mean()),
        sqnr(exact, stored),
        str(model.outcome.recipe),
        seconds,
    )


def row(network: str, results: list[Result]) -> tuple[str, bool]:
    losses = [r.loss for r in results]
    mean, worst = sum(losses) / len(losses), max(losses)
    agreement = min(r.agreement for r in results)
    levels = [r.output_sqnr for r in results]
    good = mean <= MEAN_LOSS and worst <= WORST_LOSS and agreement >= AGREEMENT
    accuracies = [r.int8_accuracy for r in results]
    text = (
        f"| {network} | {results[0].float_accuracy:.2f} | {min(accuracies):.2f} to {max(accuracies):.2f} "
        f"| {mean:+.2f} | {worst:+.2f} | {agreement:.2f} | {min(levels):.1f} to {max(levels):.1f} |"
    )
    return text, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=SHARED / "zoo", help="folder of tiny_zoo.py")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of cifar10_part and kws01")
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="fix part of the recipe"
    )
    parser.add_argument("--json", type=Path, help="write every single result")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    words: dict[str, Any] = {"true": True, "false": False}
    options = {k: words.get(v, v) for k, v in (o.split("=", 1) for o in arguments.option)}
    results: list[Result] = []
    rows, all_good = [], True
    for network in arguments.network or NETWORKS:
        mine = []
        for seed in range(arguments.seeds):
            mine.append(measure(arguments.models, arguments.data, network, seed, options))
            last = mine[-1]
            print(
                f"{network} seed {seed}: float {last.float_accuracy:.2f} int8 {last.int8_accuracy:.2f} "
                f"agreement {last.agreement:.2f} SQNR {last.output_sqnr:.1f} dB, {last.seconds:.0f} s: {last.recipe}",
                file=sys.stderr,
            )
        results += mine
        text, good = row(network, mine)
        rows.append(text)
        all_good &= good
    print("| network | float % | int8 % | mean loss | worst loss | least agreement % | SQNR dB |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
