"""Export the reference networks beside the checkout as graph files, for `pienn bench models`.

    python tests/benches/zoo.py --output build/zoo [NAME ...]

Networks come from ../shared/data/zoo (`tiny_zoo.py` and weights), calibration inputs from the data sets beside it where
there are any, random ones otherwise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import pienn

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CALIBRATION = 64


def calibration(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Inputs as the network wants them (see the zoo's README for the preprocessing)."""
    source = torch.Generator().manual_seed(0)
    if name.startswith("resnet8"):
        with np.load(DATA / "cifar10_part" / "cifar10_part.npz") as data:
            return torch.tensor(data["train_x"][:CALIBRATION].astype(np.float32)).permute(0, 3, 1, 2)
    if name.startswith("dscnn"):
        with np.load(DATA / "kws01" / "kws01.npz") as data:
            features = (data["x"][:CALIBRATION].astype(np.float32) - 83) * 0.5847029
        return torch.tensor(features).permute(0, 3, 1, 2)
    if name.startswith("autoencoder"):
        return torch.randn((CALIBRATION, *shape), generator=source) * 10 - 30  # log-mel energies in decibel
    return torch.rand((CALIBRATION, *shape), generator=source)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="networks; all by default")
    parser.add_argument("--output", type=Path, default=Path("build/zoo"))
    options = parser.parse_args()
    if not (DATA / "zoo" / "tiny_zoo.py").is_file():
        raise SystemExit("error: no networks: ../shared/data/zoo is absent")
    sys.path.insert(0, str(DATA / "zoo"))
    import tiny_zoo  # pyright: ignore[reportMissingImports]

    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or tiny_zoo.MODELS:
        _, shape = tiny_zoo.MODELS[name]
        quantized = pienn.quantize(tiny_zoo.load(name), calibration(name, shape))
        pienn.export(quantized, None, options.output / f"{name}.pie")
        print(
            f"{name}: {quantized.output_sqnr:.1f} dB at the output, {options.output / name}.pie", flush=True
        )


if __name__ == "__main__":
    main()
