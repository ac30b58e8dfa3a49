"""The whole way in one run: train, train on with the quantisation in the loop, export, compile to C, run, compare.

python demo.py --output build/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from digits import build, load
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

import pienn
from pienn.codegen.generate import generate
from pienn.codegen.native import Native, code_bytes
from pienn.commands.arrays import to_graph, to_torch
from pienn.commands.cycles import figures
from pienn.commands.simulated import Simulated
from pienn.frontend.training import prepare_training
from pienn.ir import file, interpreter
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan

FLOAT_EPOCHS, QUANTISED_EPOCHS, BATCH = 12, 3, 64
ON_CHIPS = 36  # test images that the chips are simulated on
console = Console()


def train(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, rate: float, what: str
) -> None:
    """Adam with a cosine schedule."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in track(range(epochs), description=what, console=console):
        order = torch.randperm(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


def accuracy(scores: np.ndarray, labels: torch.Tensor) -> float:
    return 100.0 * float(np.mean(scores.argmax(axis=1) == labels.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--seed", type=int, default=1, help="seed of the training")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    train_images, train_labels, test_images, test_labels = load()
    console.print(f"{len(train_images)} scans to train on, {len(test_images)} to test on")

    model, _ = build()
    model.train()
    train(model, train_images, train_labels, FLOAT_EPOCHS, 3e-3, "training in float     ")
    model.eval()
    with torch.no_grad():
        float_scores = model(test_images).numpy()

    trainable = prepare_training(model, train_images[:256], name="digits")
    train(trainable, train_images, train_labels, QUANTISED_EPOCHS, 3e-4, "training in int8      ")
    quantized = trainable.finish()
    graph_file = options.output / "digits.pie"
    pienn.export(quantized, None, graph_file)
    torch.save(model.state_dict(), options.output / "digits.pt")
    np.save(options.output / "test_images.npy", test_images.numpy())

    graph = file.read(graph_file)
    planned = plan(pipeline(graph, "host"))
    files = generate(planned, options.output / "generated", "digits", source=" from digits.pie")
    (source,), (result,) = graph.inputs, graph.outputs
    stored = to_graph(test_images.numpy(), source)
    in_torch = quantized.lowered.run_oracle([stored])[f"result {result.name}"]
    (in_numpy,) = interpreter.run(graph, [stored])
    with Native(planned) as native:
        (in_c,) = native.run([stored])
    np.save(options.output / "test_scores.npy", to_torch(in_c, result.permutation))

    disagree = not (np.array_equal(in_torch, in_numpy) and np.array_equal(in_numpy, in_c))
    on_chips = {}
    for target in track(("esp32p4", "esp32s3"), description="simulating the chips  ", console=console):
        simulated = Simulated(plan(pipeline(graph, target), target))
        (scores,) = simulated.run([stored[:ON_CHIPS]])
        wrong = int(np.sum(scores != in_c[:ON_CHIPS]))
        found = figures(simulated, ON_CHIPS)
        on_chips[target] = (
            f"{found['cycles']} cycles = {found['ms']:.2f} ms at {found['clock_mhz']} MHz, "
            f"{found['mac_per_cycle']:.1f} MAC/cycle, {wrong} mismatches"
        )
        if found["reference_calls"]:
            on_chips[target] += f" ({found['reference_calls']} calls in reference C not counted)"
        disagree |= wrong > 0

    sizes = code_bytes(planned)
    table = Table(title="handwritten digits, int8, in C", show_header=False)
    for name, value in {
        "accuracy in float": f"{accuracy(float_scores, test_labels):.2f} %",
        "accuracy in int8": f"{accuracy(in_c, test_labels):.2f} %",
        "mismatches torch - numpy": str(int(np.sum(in_torch != in_numpy))),
        "mismatches numpy - C": str(int(np.sum(in_numpy != in_c))),
        "elements compared": str(in_c.size),
        "arena": f"{planned.arena.total} bytes (lower bound {planned.arena.lower_bound})",
        "constants": f"{sizes.constants} bytes",
        "code": f"{sizes.code} bytes (this machine's compiler, -Os)",
        "multiply-accumulates": str(planned.macs),
        **{f"{target}, simulated": text for target, text in on_chips.items()},
    }.items():
        table.add_row(name, value)
    console.print(table)
    console.print("the C is in " + " ".join(str(path) for path in files))
    if disagree:
        raise SystemExit("error: the places disagree")


if __name__ == "__main__":
    main()
