"""What lies between a mouth and a microphone: level, echo, colour and noise, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from front_end import CLIP, RATE
from scipy.fft import irfft, next_fast_len, rfft

LOUDEST, QUIETEST = -1.0, -30.0
"""dB of full scale: peak of the speech."""
CLEANEST, NOISIEST = 40.0, 8.0
"""dB: speech over noise, where there is speech."""


def coloured(source: np.random.Generator) -> np.ndarray:
    """Noise whose spectrum falls with the frequency's power of 0 to 2, with a hum of the mains in a third of all."""
    spectrum = rfft(source.standard_normal(CLIP, np.float32))
    spectrum /= np.maximum(np.arange(CLIP // 2 + 1, dtype=np.float32), 20) ** source.uniform(0, 1)
    noise = irfft(spectrum, CLIP)
    noise /= np.sqrt(np.mean(noise**2))
    if source.random() < 1 / 3:
        phase = 2 * np.pi * (source.random() + source.choice([50, 60]) * np.arange(CLIP) / RATE)
        noise += sum(source.normal() / n * np.sin(n * phase) for n in range(1, 6))
    return noise


def babble(source: np.random.Generator, crowd: Sequence[np.ndarray]) -> np.ndarray:
    """Six people at once, each saying something somewhere."""
    clip = np.zeros(CLIP, np.float32)
    for _ in range(6):
        samples = crowd[source.integers(len(crowd))][:CLIP]
        start = source.integers(CLIP - len(samples) + 1)
        clip[start : start + len(samples)] += samples
    return clip


def echo(source: np.random.Generator, clip: np.ndarray) -> np.ndarray:
    """A small room: reflections that fade by 60 dB within 0.05 to 0.4 s."""
    length = int(RATE * source.uniform(0.05, 0.4))
    response = source.standard_normal(length, np.float32)
    response *= 10 ** (-3 * np.arange(length, dtype=np.float32) / length)
    response *= source.uniform(0.1, 0.5) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    size = next_fast_len(CLIP + length, real=True)
    return irfft(rfft(clip, size) * rfft(response, size), size)[:CLIP]


def disturbed(source: np.random.Generator, clip: np.ndarray, crowd: Sequence[np.ndarray]) -> np.ndarray:
    """A clip (float32 [CLIP], zeros for silence) as it could have been recorded: int16 [CLIP]."""
    if source.random() < 0.5:
        clip = echo(source, clip)
    # One microphone is dull, another sharp: a first-order filter either way.
    clip = np.append(clip[:1], clip[1:] + np.float32(source.uniform(-0.7, 0.7)) * clip[:-1])
    level = 10 ** (source.uniform(QUIETEST, LOUDEST) / 20) * 32767
    noise = babble(source, crowd) if source.random() < 0.3 else coloured(source)
    noise /= np.sqrt(np.mean(noise**2)) + 1e-9
    peak = np.max(np.abs(clip))
    if peak > 0:
        clip = clip * (level / peak)
        loudness = np.sqrt(np.mean(clip**2) * 3)  # a word fills about a third of its second
        clip = clip + noise * loudness * 10 ** (-source.uniform(NOISIEST, CLEANEST) / 20)
    else:
        clip = noise * level * source.uniform(0, 0.3)
    return np.clip(np.round(clip), -32768, 32767).astype(np.int16)
