"""The picture classifier: its camera path against exact means, and a small training with the program built from it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from example_project import build, printed_by_esp_idf, succeed, train

from pienn.ir import border, file, interpreter
from pienn.ir.graph import Graph

SIZE = 48
COMPILERS = {"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}


@pytest.fixture(scope="module")
def example(checkout: Path) -> Path:
    return checkout / "examples" / "image_classification"


@pytest.fixture(scope="module")
def camera(example: Path) -> ModuleType:
    sys.path.insert(0, str(example))
    try:
        return importlib.import_module("camera")
    finally:
        sys.path.remove(str(example))


def exact_fit(picture: np.ndarray, size: int) -> np.ndarray:
    """Means of the areas that pixels of the middle square's smaller copy cover, rounded half up, in whole numbers."""
    height, width, _ = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side].astype(np.int64)
    ends = np.minimum.outer(np.arange(1, size + 1) * side, np.arange(1, side + 1) * size)
    starts = np.maximum.outer(np.arange(size) * side, np.arange(side) * size)
    covered = np.maximum(ends - starts, 0)
    sums = np.einsum("iy,yxc,jx->ijc", covered, square, covered, optimize=True)
    return ((2 * sums + side * side) // (2 * side * side)).astype(np.uint8)


@pytest.mark.parametrize(
    "height, width", [(120, 160), (96, 96), (48, 48), (240, 320), (120, 49), (37, 53), (1, 7), (800, 601)]
)
def test_the_camera_path_takes_exact_means(height: int, width: int, camera: ModuleType) -> None:
    source = np.random.default_rng(height)
    picture = source.choice([0, 1, 77, 254, 255], (height, width, 3)).astype(np.uint8)
    np.testing.assert_array_equal(camera.Camera().fit(picture, SIZE), exact_fit(picture, SIZE))


def test_cameras_colours_fill_the_range(camera: ModuleType) -> None:
    """All 65536 colours of RGB565: the largest becomes 255, 0 stays 0, and each is within half of its own step."""
    words = np.arange(65536, dtype=np.uint16)
    pixels = words.astype(">u2").view(np.uint8).reshape(256, 256, 2)
    found = camera.Camera().fit(pixels, 256).reshape(-1, 3).astype(float)
    for colour, (bits, place) in enumerate(((5, 11), (6, 5), (5, 0))):
        wanted = (words >> place & (2**bits - 1)) * 255 / (2**bits - 1)
        assert np.abs(found[:, colour] - wanted).max() < 1
        assert {found[:, colour].min(), found[:, colour].max()} == {0, 255}
    assert np.array_equal(camera.to_rgb565(found.reshape(256, 256, 3).astype(np.uint8)), pixels)


ON_CHIP = """
#include <stdio.h>
#include "camera.h"

static uint8_t pixels[40 * 30 * 2];
static uint32_t scratch[CAMERA_SCRATCH(7)];
static int8_t input[7 * 7 * 3], stored[256];

int main(void) {
    for (int i = 0; i < 256; i++) {
        stored[i] = (int8_t)(i - 128);
    }
    for (int i = 0; i < 40 * 30 * 2; i++) {
        pixels[i] = (uint8_t)(i * i * 40503u >> 8);
    }
    const struct picture picture = {pixels, 40, 30, CAMERA_RGB565};
    camera_fit(&picture, 7, stored, scratch, input);
    for (int i = 0; i < 7 * 7 * 3; i++) {
        printf("%d ", input[i]);
    }
    return 0;
}
"""


@pytest.mark.parametrize("target, compiler", COMPILERS.items())
def test_pictures_are_the_same_on_the_chips(
    target: str, compiler: str, example: Path, camera: ModuleType, tmp_path: Path, tool
) -> None:
    """The camera path compiled for the chip, on the simulator, against the one compiled for this machine."""
    tool(compiler)
    (tmp_path / "main.c").write_text(ON_CHIP)
    sources = [tmp_path / "main.c", example / "main" / "camera.c"]
    program, pienn = tmp_path / "program.elf", [sys.executable, "-m", "pienn", "sim"]
    succeed(*pienn, "build", *sources, "-o", program, "--target", target, "-I", example / "main")
    found = [int(word) for word in succeed(*pienn, "run", program, "--target", target).split()]
    places = np.arange(40 * 30 * 2, dtype=np.uint32)
    pixels = (places * places * np.uint32(40503) >> np.uint32(8)).astype(np.uint8).reshape(30, 40, 2)
    wanted = camera.Camera().fit(pixels, 7).astype(int).ravel() - 128
    assert found == wanted.tolist()


@dataclass
class Trained:
    """What a short training left, and the program that was built from it."""

    results: dict
    program: Path
    folder: Path
    graph: Graph

    def shares(self, fitted: np.ndarray) -> np.ndarray:
        (port,), (result,) = self.graph.inputs, self.graph.outputs
        stored = border.quantise(fitted[None].astype(np.float32) / 256, port.exponent, port.zero_point)
        (scores,) = interpreter.run(self.graph, [stored])
        powers = np.exp(np.ldexp(scores[0].astype(np.float64), result.exponent))
        return powers / powers.sum()


@pytest.fixture(scope="module")
def trained(example: Path, tmp_path_factory: pytest.TempPathFactory, tool) -> Trained:
    folder = tmp_path_factory.mktemp("classifier")
    train(
        example / "train.py", folder / "trained", "--pictures", "40", "--epochs", "10", "--width", "8",
        "--exports", "classifier",
    )  # fmt: skip
    build(tool("cmake"), example, folder / "build", f"-DCLASSIFIER_FOLDER={folder}/trained")
    results = json.loads((folder / "trained" / "results.json").read_text())
    return Trained(
        results,
        folder / "build" / "image_classification",
        folder,
        file.read(folder / "trained/classifier.pie"),
    )


def test_a_short_training_learns(trained: Trained) -> None:
    """Chance is 10 %."""
    assert trained.results["accuracy in float, %"] > 40, trained.results
    assert trained.results["accuracy in int8, classifier.pie, %"] > 40, trained.results


def test_the_program_sees_what_training_does(trained: Trained, camera: ModuleType) -> None:
    """Picture path, network and shares of the C program on PPM files, against training's path and the interpreter."""
    classes = trained.results["classes"]
    for label in classes:
        path = trained.folder / "trained" / f"{label}.ppm"
        pixels = np.frombuffer(path.read_bytes()[-160 * 120 * 3 :], np.uint8).reshape(120, 160, 3)
        wanted = 100 * trained.shares(camera.Camera().fit(pixels, SIZE))
        line = succeed(trained.program, path).rpartition(": ")[2].split(" (")[0]
        found = [part.split() for part in line.split(", ")]
        for (name, share, _), index in zip(found, np.argsort(-wanted, kind="stable")):
            assert float(share) == pytest.approx(wanted[index], abs=0.1)
            assert name == classes[index] or np.sum(np.abs(wanted - wanted[index]) < 0.1) > 1


def test_the_built_in_pictures_are_the_same_as_the_files(trained: Trained, camera: ModuleType) -> None:
    """What a firmware without camera prints; its pictures are the files with a camera's colours."""
    done = subprocess.run([str(trained.program)], capture_output=True, text=True)
    *lines, last = done.stdout.splitlines()
    right = 0
    for line, label in zip(lines, trained.results["classes"][1:4]):
        path = trained.folder / "trained" / f"{label}.ppm"
        pixels = np.frombuffer(path.read_bytes()[-160 * 120 * 3 :], np.uint8).reshape(120, 160, 3)
        shares = trained.shares(camera.Camera().fit(camera.to_rgb565(pixels), SIZE))
        best = line.split(": ")[1].split()[0]
        assert line.startswith(f"picture of {label}: ")
        assert best in np.array(trained.results["classes"])[shares > shares.max() - 1e-6]
        right += best == label
    assert last == f"{right} of 3 recognised" and len(lines) == 3
    assert done.returncode == (0 if right == 3 else 1)


@pytest.mark.parametrize(
    "content, why",
    [
        (b"hello", "no binary PPM image"),
        (b"P6 0 4 255\n", "its width and height are not 1 to 2048"),
        (b"P6 99999999999 4 255\n", "its width and height are not 1 to 2048"),
        (b"P6 4 4 65535\n", "it has not 8 bits a colour"),
        (b"P6 4 4 255\n" + bytes(47), "it ends too early"),
        (b"P6 4 4 255", "it ends too early"),
        (b"P6 # only a comment", "its width and height are not 1 to 2048"),
        (b"", "cannot be read"),
    ],
    ids=[
        "text",
        "no width",
        "a width of years",
        "16 bits",
        "a byte too few",
        "no pixels",
        "a comment",
        "empty",
    ],
)
def test_files_that_cannot_be_seen_are_named_with_the_reason(
    content: bytes, why: str, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "some.ppm"
    path.write_bytes(content)
    done = subprocess.run([str(trained.program), str(path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {path}: {why}"), done.stderr


def test_comments_in_ppm_files_are_skipped(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "some.ppm"
    path.write_bytes(b"P6 # made by hand\n4 4\n# two\n255\n" + bytes(48))
    assert "%" in succeed(trained.program, path)


READ_FOLDERS = """
import json, sys
from pathlib import Path
from pictures import MissingPictures, from_folders
try:
    classes, training, test = from_folders(Path(sys.argv[1]))
except MissingPictures as why:
    sys.exit(f"error: {why}")
print(json.dumps([classes, training.labels.tolist(), test.labels.tolist(), training.inputs[:, :, 24, 24].tolist()]))
"""


def read_folders(example: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READ_FOLDERS, str(folder)]
    return subprocess.run(command, cwd=example, capture_output=True, text=True)


def test_own_images_are_read_from_folders(example: Path, tmp_path: Path) -> None:
    """One class a folder, every fifth image for the test, colours in the right order, large images made smaller."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for name, colour in (("cat", (255, 0, 0)), ("ant", (0, 0, 255))):
        (tmp_path / name).mkdir()
        for number in range(7):
            size = (3000, 90) if number == 3 else (60 + number, 50)
            image.new("RGB", size, colour).save(tmp_path / name / f"{number}.png")
    classes, training, test, middles = json.loads(read_folders(example, tmp_path).stdout)
    assert classes == ["ant", "cat"]
    assert training == [0] * 5 + [1] * 5 and test == [0] * 2 + [1] * 2
    assert middles == [[0, 0, 255]] * 5 + [[255, 0, 0]] * 5


def test_folders_that_are_no_data_set_are_named(example: Path, tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    assert f"error: {tmp_path} has no two folders of images" in read_folders(example, tmp_path).stderr
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "note.txt").write_text("no image")
    assert "note.txt is no image that can be read" in read_folders(example, tmp_path).stderr


def test_missing_results_are_named_with_the_remedy(example: Path, tmp_path: Path, tool) -> None:
    options = [f"-DCLASSIFIER_FOLDER={tmp_path}/none"]
    command = [tool("cmake"), "-S", str(example), "-B", str(tmp_path / "build"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and "classifier.pie is missing: run train.py" in " ".join(done.stderr.split())


def test_esp_idf_builds_it_for_linux(checkout: Path, trained: Trained, tmp_path: Path) -> None:
    option = f"-DCLASSIFIER_FOLDER={trained.folder}/trained"
    output = printed_by_esp_idf(checkout, "image_classification", tmp_path, option)
    here = subprocess.run([str(trained.program)], capture_output=True, text=True).stdout
    lines = [line.split(" (")[0] for line in here.splitlines()]
    assert [line.split(" (")[0] for line in output.splitlines() if line.split(" (")[0] in lines] == lines
