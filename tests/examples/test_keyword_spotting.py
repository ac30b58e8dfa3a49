"""The keyword spotter: its front end against floating point, and a small training with the program built from it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from example_project import build, printed_by_esp_idf, succeed, train

from pienn.ir import border, file, interpreter

WORDS = ("yes", "left", "stop")
SURE = 0.3
"""A short training does not reach the share that the program asks for."""
COMPILERS = {"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}


@pytest.fixture(scope="module")
def example(checkout: Path) -> Path:
    return checkout / "examples" / "keyword_spotting"


@pytest.fixture(scope="module")
def front_end(example: Path) -> ModuleType:
    sys.path.insert(0, str(example))
    try:
        return importlib.import_module("front_end")
    finally:
        sys.path.remove(str(example))


@pytest.fixture(scope="module")
def plain(front_end: ModuleType, tmp_path_factory: pytest.TempPathFactory):
    """The front end without normalisation."""
    folder = tmp_path_factory.mktemp("tables")
    front_end.write_tables(folder / "front_end_tables.h")
    return front_end.FrontEnd(folder)


def float_bands(front_end: ModuleType, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log mel energies in double precision: windows, numpy's transform, triangles. Bounds of what rounding leaves.

    Rounding adds amplitudes whose energy is 100 dB below the frame's, and 0.05 to the logarithm.
    """
    start = (len(samples) - front_end.WINDOW) % front_end.HOP
    count = (len(samples) - front_end.WINDOW) // front_end.HOP + 1
    places = start + np.arange(count)[:, None] * front_end.HOP + np.arange(front_end.WINDOW)
    hann = np.sin(np.pi * (np.arange(front_end.WINDOW) + 0.5) / front_end.WINDOW) ** 2
    power = np.abs(np.fft.rfft(samples.astype(float)[places] * hann)) ** 2
    hertz = np.arange(power.shape[1]) * front_end.RATE / front_end.WINDOW
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (front_end.LOWEST, front_end.HIGHEST))
    distance = (high - low) / (front_end.BANDS + 1)
    mel = 2595 * np.log10(1 + hertz / 700)
    centres = low + distance * np.arange(1, front_end.BANDS + 1)
    triangles = np.maximum(0, 1 - np.abs(mel[:, None] - centres) / distance)
    triangles[[0, -1]] = 0  # neither the mean nor half the rate
    parts = 1 << front_end.PART_BITS
    amplitudes = np.sqrt(parts * (power @ triangles))
    noise = np.sqrt(parts * power.sum(axis=1, keepdims=True) * 1e-10)
    least, most = np.maximum(amplitudes - noise, 0) ** 2, (amplitudes + noise) ** 2
    return np.log2(least + front_end.FLOOR) - 0.05, np.log2(most + front_end.FLOOR) + 0.05


def signals() -> dict[str, np.ndarray]:
    source, time = np.random.default_rng(7), np.arange(16000)
    return {
        "noise": source.normal(0, 3000, 16000),
        "faint noise": source.normal(0, 2, 16000),
        "a loud square wave": 32767 * np.sign(np.sin(0.1 * time)),
        "half the rate": 32767.0 * (-1) ** time,
        "a chirp": 10000 * np.sin(8e-5 * time**2),
        "the lowest value": np.full(16000, -32768.0),
        "one click": 30000.0 * (time == 8000),
        "silence": np.zeros(16000),
    }


@pytest.mark.parametrize("name", signals())
def test_the_front_end_computes_what_floating_point_does(name: str, front_end: ModuleType, plain) -> None:
    """log2 of energies within rounding, then the cosine transform within a step of its 8 fraction bits."""
    samples = np.clip(np.round(signals()[name]), -32768, 32767).astype(np.int16)
    found, (least, most) = plain.bands(samples), float_bands(front_end, samples)
    assert np.all(least < found) and np.all(found < most), np.maximum(least - found, found - most).max()
    coefficients = np.clip(found @ front_end.cosine_transform().T, -128, 127.998)
    np.testing.assert_allclose(plain.features(samples), coefficients, rtol=0, atol=0.004)


ON_CHIP = """
#include <stdio.h>
#include "front_end.h"

static int16_t samples[FRONT_END_WINDOW];
static int32_t scratch[FRONT_END_SCRATCH];

int main(void) {
    int16_t features[FRONT_END_COEFFICIENTS];
    for (int loudness = 1; loudness < 16; loudness += 2) {
        for (int i = 0; i < FRONT_END_WINDOW; i++) {
            samples[i] = (int16_t)((unsigned)(i * i * i * 40503) << loudness >> 16);
        }
        front_end_features(samples, scratch, features);
        for (int i = 0; i < FRONT_END_COEFFICIENTS; i++) {
            printf("%d ", features[i]);
        }
    }
    return 0;
}
"""


@pytest.mark.parametrize("target, compiler", COMPILERS.items())
def test_features_are_the_same_on_the_chips(
    target: str, compiler: str, example: Path, plain, front_end: ModuleType, tmp_path: Path, tool
) -> None:
    """The front end compiled for the chip, on the simulator, against the one compiled for this machine."""
    tool(compiler)
    front_end.write_tables(tmp_path / "front_end_tables.h")
    (tmp_path / "main.c").write_text(ON_CHIP)
    sources = [tmp_path / "main.c", example / "main" / "front_end.c"]
    program, folders = tmp_path / "program.elf", ["-I", example / "main", "-I", tmp_path]
    pienn = [sys.executable, "-m", "pienn", "sim"]
    succeed(*pienn, "build", *sources, "-o", program, "--target", target, *folders)
    found = [int(word) for word in succeed(*pienn, "run", program, "--target", target).split()]
    time = np.arange(front_end.WINDOW, dtype=np.uint64)
    ramp = (time**3 * 40503).astype(np.uint32)
    windows = [
        ((ramp << np.uint32(loudness)) >> np.uint32(16)).astype(np.int16) for loudness in range(1, 16, 2)
    ]
    wanted = np.concatenate([plain.features(window)[0] for window in windows]) * 256
    assert found == wanted.astype(int).tolist()


def test_normalised_features_have_mean_0_and_deviation_1(
    front_end: ModuleType, plain, tmp_path: Path
) -> None:
    samples = np.random.default_rng(3).normal(0, 1000, 64000) * np.linspace(0.01, 1, 64000)
    samples = samples.astype(np.int16)
    coefficients = plain.bands(samples) @ front_end.cosine_transform().T
    front_end.write_tables(tmp_path / "front_end_tables.h", coefficients.mean(0), coefficients.std(0))
    found = front_end.FrontEnd(tmp_path).features(samples)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(found.std(0), 1, atol=0.01)


@dataclass
class Trained:
    """What a short training left, and the program that was built from it."""

    results: dict
    words: list[str]
    program: Path
    folder: Path
    graph: object
    features: object

    def shares(self, samples: np.ndarray) -> np.ndarray:
        """Shares of all words for one second of samples, by the interpreter."""
        (port,), (result,) = self.graph.inputs, self.graph.outputs  # pyright: ignore[reportAttributeAccessIssue]
        found = self.features.features(samples).reshape(1, *port.shape)  # pyright: ignore[reportAttributeAccessIssue]
        (scores,) = interpreter.run(self.graph, [border.quantise(found, port.exponent, port.zero_point)])  # pyright: ignore[reportArgumentType]
        logits = np.ldexp(scores[0].astype(np.float32), result.exponent)
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()


@pytest.fixture(scope="module")
def trained(example: Path, front_end: ModuleType, tmp_path_factory: pytest.TempPathFactory, tool) -> Trained:
    tool("espeak-ng")
    folder = tmp_path_factory.mktemp("kws")
    train(
        example / "train.py", folder / "trained", "--words", *WORDS,
        "--utterances", "35", "--rounds", "10", "--epochs", "9", "--width", "16", "--exports", "kws",
    )  # fmt: skip
    options = [f"-DKWS_FOLDER={folder}/trained"]
    build(tool("cmake"), example, folder / "build", *options, flags=f"-DLISTENER_SURE={SURE}f")
    results = json.loads((folder / "trained" / "results.json").read_text())
    graph = file.read(folder / "trained" / "kws.pie")
    made = front_end.FrontEnd(folder / "trained")
    return Trained(results, results["words"], folder / "build" / "keyword_spotting", folder, graph, made)


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(samples.astype("<i2").tobytes())
    return path


def spoken(word: str, voice: str = "en-us+Mike") -> np.ndarray:
    """int16 at 16000 a second, by espeak-ng."""
    data = subprocess.run(["espeak-ng", "-v", voice, "-z", "--stdout", word], capture_output=True, check=True)
    samples = np.frombuffer(data.stdout[44:], "<i2").astype(float)
    places = np.arange(0, len(samples) - 1, 22050 / 16000)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.int16)


def centred(samples: np.ndarray) -> np.ndarray:
    """One second with the word in the middle."""
    clip = np.zeros(16000, np.int16)
    start = (16000 - len(samples)) // 2
    clip[start : start + len(samples)] = samples
    return clip


def best_of(line: str) -> list[tuple[str, float]]:
    return [(word, float(share)) for word, share in (part.split()[:2] for part in line.split(", "))]


def test_a_short_training_learns(trained: Trained) -> None:
    """Words of voices that were not trained on; chance is one in five."""
    voices = [f"en-us+{name}" for name in ("Mike", "Denis", "adam", "quincy")]
    right = [
        trained.words[int(trained.shares(centred(spoken(word, voice))).argmax())] == word
        for word in WORDS
        for voice in voices
    ]
    assert sum(right) >= 6, trained.results
    assert len(trained.results["words"]) == len(WORDS) + 2


def test_the_program_hears_what_training_does(trained: Trained) -> None:
    """Features, network and shares of the C program on WAV files, against training's front end and the interpreter."""
    for word in (*WORDS, "water"):
        samples = spoken(word)[:16000]
        path = write_wav(trained.folder / f"{word}.wav", samples)
        wanted = trained.shares(centred(samples))
        line = succeed(trained.program, path).rpartition(": ")[2]
        for (found, share), index in zip(best_of(line), np.argsort(-wanted, kind="stable")):
            assert share == pytest.approx(100 * wanted[index], abs=0.1)
            assert found == trained.words[index] or np.sum(np.abs(wanted - wanted[index]) < 1e-3) > 1


def stream_spots(trained: Trained, samples: np.ndarray) -> list[tuple[float, str]]:
    """When which keyword is reported: a run every 8 hops, the mean of 3 at least SURE, then a second of pause."""
    heard = np.concatenate([np.zeros(16000, np.int16), samples])
    runs = [np.zeros(len(trained.words))] * 3
    spots, silent_until = [], 0
    for hop in range(8, len(samples) // 320 + 1, 8):
        end = 16000 + hop * 320
        runs = [*runs[1:], trained.shares(heard[end - 16000 : end])]
        mean = np.mean(runs, axis=0)
        mean[:2] = 0
        if mean.max() >= SURE and hop >= silent_until:
            spots.append((hop * 320 / 16000, trained.words[int(mean.argmax())]))
            silent_until = hop + 50
    return spots


def test_words_are_spotted_in_a_stream(trained: Trained) -> None:
    pause = np.zeros(12000, np.int16)
    samples = np.concatenate([pause, *(part for word in WORDS * 2 for part in (spoken(word), pause))])
    path = write_wav(trained.folder / "stream.wav", samples)
    lines = succeed(trained.program, path).splitlines()[1:]
    found = [(float(line.split()[0]), line.split()[2]) for line in lines]
    assert found == stream_spots(trained, samples)
    assert found, "nothing was spotted at all"


@pytest.mark.parametrize(
    "content, why",
    [
        (b"hello", "no WAV file"),
        (b"RIFF\x24\0\0\0WAVE", "it has no samples"),
        (b"RIFF\x24\0\0\0WAVEdata\xff\xff\xff\xff\0\0", "not 16-bit mono PCM"),
        (b"RIFF\x24\0\0\0WAVELIST\xff\xff\xff\xff\0\0", "it has no samples"),
        (None, "not 16000 samples a second: convert it with `ffmpeg"),
    ],
    ids=["text", "no chunks", "no format", "a chunk beyond the end", "another rate"],
)
def test_files_that_cannot_be_heard_are_named_with_the_reason(
    content: bytes | None, why: str, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "some.wav"
    if content is None:
        write_wav(path, np.zeros(400), rate=8000)
    else:
        path.write_bytes(content)
    done = subprocess.run([str(trained.program), str(path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {path}: {why}"), done.stderr


def test_speech_commands_are_read_by_its_own_split(example: Path, tmp_path: Path) -> None:
    """Training and test clips, found by lists; validation clips are in neither."""
    folder = tmp_path / "speech_commands"
    clips: Sequence[str] = [
        f"{word}/{speaker}_nohash_0.wav" for word in ("yes", "bed") for speaker in "abcdefghij"
    ]
    for number, name in enumerate(clips):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(folder / name, np.full(16000, number))
    (folder / "testing_list.txt").write_text("\n".join(name for name in clips if "/a" in name))
    (folder / "validation_list.txt").write_text("\n".join(name for name in clips if "/b" in name))
    code = (
        "import json, sys; from pathlib import Path; from speech import speech_commands\n"
        "found = speech_commands(Path(sys.argv[1]), 5, 0)\n"
        "print(json.dumps([[(u.word, u.voice, int(u.samples[0])) for u in part] for part in found]))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=example, capture_output=True, text=True, check=True)
    training, test = json.loads(done.stdout)
    assert sorted(test) == [["bed", "a", clips.index("bed/a_nohash_0.wav")], ["yes", "a", 0]]
    assert {word for word, *_ in training} == {"yes", "bed"}
    assert len([word for word, *_ in training if word == "yes"]) == 5
    assert not {"a", "b"} & {speaker for _, speaker, _ in training}


def test_missing_results_are_named_with_the_remedy(example: Path, tmp_path: Path, tool) -> None:
    command = [
        tool("cmake"),
        "-S",
        str(example),
        "-B",
        str(tmp_path / "build"),
        f"-DKWS_FOLDER={tmp_path}/none",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and f"{tmp_path}/none/kws.pie is missing: run train.py" in done.stderr


def test_esp_idf_builds_it_for_linux(checkout: Path, trained: Trained, tmp_path: Path) -> None:
    output = printed_by_esp_idf(
        checkout, "keyword_spotting", tmp_path, f"-DKWS_FOLDER={trained.folder}/trained"
    )
    here = subprocess.run([str(trained.program)], capture_output=True, text=True).stdout
    lines = [line.split(" (")[0] for line in here.splitlines()]
    assert [line.split(" (")[0] for line in output.splitlines() if line.split(" (")[0] in lines] == lines
