"""Spoken words to train and test on: synthesised by espeak-ng in many voices, or the Speech Commands data set.

Voices are split, not utterances: what is tested on was spoken by voices that were never trained on.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from front_end import CLIP, RATE
from scipy.signal import resample_poly

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "silence", "unknown"
OTHERS = (
    "bed bird cat dog happy house marvin sheila tree wow zero one two three four five six seven eight nine visual "
    "follow learn forward backward water window table morning people because about never again little mother number "
    "paper country between please maybe hello music letter answer better summer kitchen under orange light night "
    "phone call play pause time name"
).split()
OTHERS_HELD_OUT = "garden seven winter later purple silver minute doctor always finger bottle yellow".split()
"""Words that are none of the keywords; the second list is only tested on, the first, but for those, only trained on."""
ACCENTS = "en-us en-gb en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc".split()
ACCENT_HELD_OUT = "en-gb-scotland"
LEFT_OUT = {"announcer", "Demonic", "fast", "UniRobot", "anikaRobot", "AnxiousAndy", "whisper", "whisperf"}
"""Voices that are no person speaking aloud."""
HELD_OUT_EVERY = 5
"""One kind of voice of so many is kept for the test."""


@dataclass(frozen=True)
class Utterance:
    word: str
    voice: str
    samples: np.ndarray
    """int16, RATE a second, any length."""


class MissingSpeech(Exception):
    """Why there is no speech to train on."""


def read_wav(data: bytes) -> np.ndarray:
    """int16 mono samples of a WAV file, brought to RATE; of espeak-ng's streams the header has no true length."""
    with wave.open(io.BytesIO(data)) as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise MissingSpeech("WAV files must be 16-bit mono")
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
    if rate != RATE:
        divisor = np.gcd(rate, RATE)
        samples = resample_poly(samples, RATE // divisor, rate // divisor)
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def voices() -> tuple[list[str], list[str]]:
    """espeak-ng's voices of different sound, for training and for the test."""
    if shutil.which("espeak-ng") is None:
        raise MissingSpeech("espeak-ng is not installed: apt-get install espeak-ng, or use --speech-commands")
    listed = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True)
    found = [line.split("!v/")[1][:20].strip() for line in listed.stdout.splitlines() if "!v/" in line]
    names = sorted(name.split("  ")[0] for name in found)
    names = [name for name in names if name not in LEFT_OUT and " " not in name]
    kinds = sorted({name.rstrip("0123456789") for name in names})  # iven, iven2 and iven3 sound alike
    held_out = [name for name in names if name.rstrip("0123456789") in kinds[::HELD_OUT_EVERY]]
    return [name for name in names if name not in held_out], held_out


def synthesise(word: str, accent: str, voice: str, pitch: int, speed: int) -> Utterance:
    """One word. pitch: 0 to 99; speed: words a minute."""
    options = ["-v", f"{accent}+{voice}", "-p", str(pitch), "-s", str(speed), "-z", "--stdout"]
    done = subprocess.run(["espeak-ng", *options, word], capture_output=True, check=True)
    return Utterance(word, f"{accent}+{voice}", read_wav(done.stdout))


def synthesised(
    words: Sequence[str], voices: Sequence[str], accents: Sequence[str], count: int, seed: int
) -> list[Utterance]:
    """`count` utterances of each word, voice, accent, pitch and speed at random."""
    source = np.random.default_rng(seed)
    wanted = [
        (word, str(source.choice(accents)), str(source.choice(voices)), int(source.integers(20, 81)),
         int(source.integers(110, 221)))
        for word in words for _ in range(count)
    ]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda choice: synthesise(*choice), wanted))


def speech_commands(folder: Path, per_word: int, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Training and test utterances of the data set's own split, at most `per_word` of a word each."""
    source = np.random.default_rng(seed)
    lists = folder / "testing_list.txt", folder / "validation_list.txt"
    for path in lists:
        if not path.is_file():
            raise MissingSpeech(f"{path} is missing: --speech-commands names the unpacked data set's folder")
    testing, validation = (set(path.read_text().split()) for path in lists)
    parts: tuple[list[Utterance], list[Utterance]] = ([], [])
    for word in sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "_"):
        files = sorted(path for path in (folder / word).glob("*.wav"))
        split: tuple[list[Path], list[Path]] = ([], [])
        for index in source.permutation(len(files)):
            name = f"{word}/{files[index].name}"
            if name not in validation:
                split[name in testing].append(files[index])
        for part, paths in zip(parts, split):
            for path in paths[: per_word if word in KEYWORDS else per_word // 5]:
                part.append(Utterance(word, path.stem.split("_")[0], read_wav(path.read_bytes())))
    return parts


def fitted(samples: np.ndarray, shift: int = 0) -> np.ndarray:
    """float32 [CLIP]: the loudest second where it is longer, else centred; `shift` samples off the middle."""
    samples = samples.astype(np.float32)
    if len(samples) > CLIP:
        total = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
        start = int(np.argmax(total[CLIP:] - total[:-CLIP]))
        samples = samples[start : start + CLIP]
    clip = np.zeros(CLIP, np.float32)
    start = (CLIP - len(samples)) // 2 + shift
    first, last = max(start, 0), min(start + len(samples), CLIP)
    clip[first:last] = samples[first - start : last - start]
    return clip
