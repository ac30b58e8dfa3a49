"""Train a keyword spotter and write what the firmware is built from.

python train.py                                   # speech by espeak-ng
python train.py --speech-commands speech_commands # the data set, unpacked
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dscnn import KeywordNet
from front_end import BANDS, CLIP, FrontEnd, cosine_transform, write_tables
from noise import disturbed
from rich.console import Console
from rich.progress import track
from speech import (
    ACCENT_HELD_OUT,
    ACCENTS,
    KEYWORDS,
    OTHERS,
    OTHERS_HELD_OUT,
    SILENCE,
    UNKNOWN,
    MissingSpeech,
    Utterance,
    fitted,
    speech_commands,
    synthesised,
    voices,
)
from torch import nn

import pienn
from pienn.codegen.native import Native
from pienn.commands.arrays import to_graph
from pienn.ir import file
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan

BATCH, RATE = 64, 3e-3
MOST_SHIFTED = 1600
"""Samples by which a word may lie off the middle of its second, in training and test."""
EXPORTS = {"kws": {}, "kws_esp32s3": {"eighth_bit": False, "weights": "block"}}
"""Graph files and their options of `pienn.quantize`; the second is faster on the ESP32-S3."""
console = Console()


@dataclass
class Speech:
    """Clips with their classes; `crowd` is what background voices are made of."""

    words: tuple[str, ...]
    """The classes, in the order of the network's outputs."""
    clips: list[np.ndarray]
    labels: list[int]
    crowd: list[np.ndarray]

    def __init__(self, keywords: Sequence[str], utterances: Sequence[Utterance]) -> None:
        self.words = (SILENCE, UNKNOWN, *keywords)
        self.clips = [utterance.samples for utterance in utterances]
        self.labels = [self.words.index(u.word) if u.word in keywords else 1 for u in utterances]
        self.crowd = [clip for clip, label in zip(self.clips, self.labels) if label == 1]
        silences = max(len(utterances) // len(self.words), 1)
        self.clips += [np.zeros(0, np.int16)] * silences
        self.labels += [0] * silences

    def recorded(self, source: np.random.Generator) -> tuple[list[np.ndarray], torch.Tensor]:
        """Every clip once, disturbed anew, in random order: int16 [CLIP] each, and the labels."""
        order = source.permutation(len(self.clips))
        shifts = source.integers(-MOST_SHIFTED, MOST_SHIFTED + 1, len(order))
        clips = [
            disturbed(source, fitted(self.clips[index], int(shift)), self.crowd)
            for index, shift in zip(order, shifts)
        ]
        return clips, torch.tensor([self.labels[index] for index in order])


def features(front_end: FrontEnd, clips: Sequence[np.ndarray]) -> torch.Tensor:
    """[N, 1, FRAMES, COEFFICIENTS]"""
    return torch.from_numpy(np.stack([front_end.features(clip) for clip in clips])).unsqueeze(1)


def make_front_end(folder: Path, speech: Speech, seed: int) -> FrontEnd:
    """Normalised over up to 500 recordings of the training speech."""
    write_tables(folder / "front_end_tables.h")
    plain = FrontEnd(folder)
    clips, _ = speech.recorded(np.random.default_rng(seed))
    bands = np.concatenate([plain.bands(clip) for clip in clips[:500]]).reshape(-1, BANDS)
    coefficients = bands @ cosine_transform().T
    write_tables(folder / "front_end_tables.h", coefficients.mean(axis=0), coefficients.std(axis=0))
    return FrontEnd(folder)


def epoch(
    model: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    order = torch.randperm(len(labels))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def train(model: nn.Module, front_end: FrontEnd, speech: Speech, rounds: int, epochs: int, seed: int) -> None:
    """Adam with one cycle of the rate; a round's recordings are made while the one before is trained on."""
    steps = rounds * epochs * -(-len(speech.clips) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    source = np.random.default_rng(seed)

    def recordings() -> tuple[torch.Tensor, torch.Tensor]:
        clips, labels = speech.recorded(source)
        return features(front_end, clips), labels

    model.train().to(memory_format=torch.channels_last)  # twice as fast on depthwise layers
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(recordings)
        for number in track(range(rounds), description="training in float", console=console):
            inputs, labels = following.result()
            if number + 1 < rounds:
                following = pool.submit(recordings)
            for _ in range(epochs):
                epoch(model, inputs, labels, optimiser, schedule)
    model.eval().to(memory_format=torch.contiguous_format)


def spoken(options: argparse.Namespace) -> tuple[list[Utterance], list[Utterance], list[Utterance]]:
    """Utterances to train on, to test on, and to test on of words that were never heard."""
    if options.speech_commands:
        return *speech_commands(options.speech_commands, options.utterances, options.seed), []
    training, held_out = voices()
    accents, tested = ACCENTS, [*ACCENTS, ACCENT_HELD_OUT]
    count, keywords = options.utterances, options.words
    few = max(count // 12, 1)
    with console.status("espeak-ng speaks"):
        return (
            synthesised(keywords, training, accents, count, options.seed)
            + synthesised(OTHERS, training, accents, few, options.seed + 1),
            synthesised(keywords, held_out, tested, max(count // 4, 1), options.seed + 2)
            + synthesised(OTHERS, held_out, tested, max(count // 80, 1), options.seed + 3),
            synthesised(OTHERS_HELD_OUT, held_out, tested, few, options.seed + 4),
        )


def write_clips(path: Path, speech: Speech, recordings: Sequence[np.ndarray], labels: torch.Tensor) -> None:
    """clips.h: the first test recording of the first three keywords, for a firmware without microphone."""
    chosen = [(word, int(torch.nonzero(labels == 2 + i)[0])) for i, word in enumerate(speech.words[2:5])]
    text = [
        "/* Made by train.py: recordings that were not trained on. Do not edit. */",
        "#include <stdint.h>",
        "",
    ]
    text += [f"#define CLIPS {len(chosen)}", f"#define CLIP_SAMPLES {CLIP}", ""]
    text += ["static const char *const clip_words[CLIPS] = {" + ", ".join(f'"{w}"' for w, _ in chosen) + "};"]
    text += ["static const int16_t clips[CLIPS][CLIP_SAMPLES] = {"]
    for _, index in chosen:
        rows = recordings[index].reshape(-1, 16)
        text += ["    {", *("        " + ", ".join(map(str, row)) + "," for row in rows), "    },"]
    path.write_text("\n".join([*text, "};", ""]))


def write_words(path: Path, words: Sequence[str]) -> None:
    """words.h: the classes in the order of the network's outputs."""
    listed = ", ".join(f'"{word}"' for word in words)
    text = f"#define WORDS {len(words)}\nstatic const char *const words[WORDS] = {{{listed}}};\n"
    path.write_text("/* Made by train.py. Do not edit. */\n" + text)


def accuracy(scores: np.ndarray, labels: torch.Tensor) -> float:
    return round(100.0 * float(np.mean(scores.argmax(axis=1) == labels.numpy())), 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/keyword_spotting"), help="folder of results"
    )
    parser.add_argument("--speech-commands", type=Path, metavar="DIR", help="train on the data set in DIR")
    parser.add_argument("--words", nargs="+", default=KEYWORDS, help="keywords", metavar="WORD")
    parser.add_argument("--utterances", type=int, default=280, help="to train on, of each keyword")
    parser.add_argument("--rounds", type=int, default=12, help="of training, each with recordings of its own")
    parser.add_argument("--epochs", type=int, default=2, help="of each round")
    parser.add_argument("--width", type=int, default=64, help="channels of the network")
    parser.add_argument(
        "--exports", nargs="+", default=list(EXPORTS), choices=EXPORTS, help="graph files to write"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    began = time.monotonic()

    try:
        training, test, never_heard = spoken(options)
    except MissingSpeech as why:
        raise SystemExit(f"error: {why}") from None
    speech = Speech(options.words, training)
    speakers = len({utterance.voice for utterance in training})
    console.print(f"{len(training)} utterances of {speakers} voices to train on, {len(test)} to test on")
    front_end = make_front_end(options.output, speech, options.seed)
    model = KeywordNet(len(speech.words), options.width)
    train(model, front_end, speech, options.rounds, options.epochs, options.seed)
    torch.save(model.state_dict(), options.output / "kws.pt")

    tested = Speech(options.words, test)
    recordings, labels = tested.recorded(np.random.default_rng(options.seed + 5))
    inputs = features(front_end, recordings)
    with torch.no_grad():
        float_scores = model(inputs).numpy()
        clean = model(features(front_end, [fitted(clip).astype(np.int16) for clip in tested.clips])).numpy()
    found: dict[str, object] = {
        "words": list(speech.words),
        "test recordings": len(labels),
        "accuracy in float without noise and echo, %": accuracy(clean, torch.tensor(tested.labels)),
        "accuracy in float, %": accuracy(float_scores, labels),
    }
    calibration = features(front_end, speech.recorded(np.random.default_rng(options.seed + 6))[0][:128])
    for name in options.exports:
        with console.status(f"quantising {name}"):
            quantized = pienn.quantize(model, calibration, name="kws", **EXPORTS[name])
            pienn.export(quantized, None, options.output / f"{name}.pie")
        graph = file.read(options.output / f"{name}.pie")
        with Native(plan(pipeline(graph, "host"))) as native:
            (scores,) = native.run([to_graph(inputs.numpy(), graph.inputs[0])])
            found[f"accuracy in int8, {name}.pie, %"] = accuracy(scores, labels)
            if never_heard and name == "kws":
                strangers = Speech(options.words, never_heard)
                heard, others = strangers.recorded(np.random.default_rng(options.seed + 7))
                (scores,) = native.run([to_graph(features(front_end, heard).numpy(), graph.inputs[0])])
                rejected = (scores.argmax(axis=1) < 2)[others.numpy() == 1]
                found["words never heard that are taken for none of the keywords, %"] = round(
                    100 * float(rejected.mean()), 2
                )
    np.save(options.output / "test_features.npy", inputs.numpy()[:100])
    write_words(options.output / "words.h", speech.words)
    write_clips(options.output / "clips.h", tested, recordings, labels)
    found["seconds"] = round(time.monotonic() - began)
    (options.output / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, value in found.items():
        console.print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    console.print(f"all files are in {options.output}")


if __name__ == "__main__":
    main()
