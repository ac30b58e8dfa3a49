"""--sram, --weights-in and --staging on the command line: what is printed, what the JSON says, what the C holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from wide_network import wide_network

from pienn import cli
from pienn.component import component_folder
from pienn.ir import file
from pienn.plan.plan import plan


@pytest.fixture
def model(tmp_path):
    file.write(wide_network(), tmp_path / "wide.pie")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 256)).astype(np.int8))
    return tmp_path


def invoke(*arguments):
    done = CliRunner().invoke(cli.pienn, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def compiled(model, *options, target="esp32s3"):
    """What is printed, the JSON, and the C of the network and of its constants."""
    data, folder = model / "plan.json", model / "generated"
    text = invoke("compile", model / "wide.pie", "--target", target, "-o", folder, "--json", data, *options)
    return (
        text,
        json.loads(data.read_text()),
        *((folder / name).read_text() for name in ("wide.c", "wide_weights.c")),
    )


def test_compile_stages_by_default_and_says_so(model):
    text, data, code, weights = compiled(model)
    assert re.search(r"large: \d+ bytes, flash, staged: 2 blocks of \d+ bytes, saves ~\d+ %", text)
    assert "small: " in text and "read in place" in text
    assert "large_in_parts(" in code and "PIENN_IN_SRAM" not in weights
    (row,) = [row for row in data["calls"] if row["constants"]["parts"]]
    assert (
        row["layer"] == "large"
        and sum(part["bytes"] for part in row["constants"]["parts"]) == row["constants"]["bytes"]
    )
    (buffer,) = [row for row in data["tensors"] if row["name"].startswith("staged")]
    assert buffer["bytes"] == max(part["bytes"] for part in row["constants"]["parts"])
    assert buffer["offset"] + buffer["bytes"] <= data["arena_bytes"]


def test_compile_without_staging_reads_in_place(model):
    text, data, code, _ = compiled(model, "--no-staging")
    assert "read in place 16 times: staging is off" in text and "in_parts" not in code
    assert not any(row["constants"]["parts"] for row in data["calls"])


def test_constants_of_a_budget_are_in_a_section_of_their_own(model, tool):
    arena = plan(wide_network(), "esp32s3").arena.total
    text, data, _, _ = compiled(model, "--sram", arena + 2000)
    homes = {row["layer"]: row["constants"] for row in data["calls"] if row["constants"]["bytes"]}
    assert homes["small"]["memory"] == "SRAM" and homes["large"]["memory"] == "flash"
    assert re.search(r"small: \d+ bytes, in SRAM: saves ~\d+ cycles", text)
    compile_ = [tool("gcc"), "-c", "-O0", '-DPIENN_IN_SRAM=__attribute__((section(".dram1")))']
    compile_ += ["-I", component_folder() / "include", model / "generated" / "wide_weights.c"]
    subprocess.run([*compile_, "-o", model / "weights.o"], check=True)
    listed = subprocess.run(
        [tool("size"), "-A", model / "weights.o"], capture_output=True, text=True, check=True
    ).stdout
    sections = {
        row[0]: int(row[1])
        for row in map(str.split, listed.splitlines())
        if len(row) == 3 and row[1].isdigit()
    }
    assert sections[".dram1"] == homes["small"]["bytes"]
    assert sections[".rodata"] == homes["large"]["bytes"]


def test_an_arena_beyond_the_budget_is_a_static_buffer_in_psram(model):
    text, data, code, _ = compiled(model, "--sram", "4K")
    assert data["arena_memory"] == "PSRAM" and "bytes in PSRAM" in text
    assert "PIENN_IN_PSRAM static" in code and "CONFIG_SPIRAM_ALLOW_BSS_SEG_EXTERNAL_MEMORY" in code


def test_host_c_has_one_memory(model):
    _, data, code, weights = compiled(model, "--sram", "1K", target="host")
    assert data["arena_memory"] == "SRAM" and "PIENN_IN" not in weights and "in_parts" not in code


def test_a_budget_that_cannot_be_kept_is_one_line(model):
    arguments = [
        "compile",
        "wide.pie",
        "--target",
        "esp32s3",
        "--weights-in",
        "SRAM",
        "--sram",
        "9K",
        "-o",
        "out",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "from pienn.cli import main; main()", *arguments],
        cwd=model,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: wide: the arena (") and done.stderr.count("\n") == 1


def test_run_says_for_every_layer_what_was_chosen(model):
    data = model / "run.json"
    arguments = [
        "--target",
        "esp32s3",
        "--memory",
        "esp32s3@240",
        "--weights-in",
        "flash",
        "--input",
        model / "x.npy",
    ]
    text = invoke("run", model / "wide.pie", *arguments, "--json", data)
    assert "staged: 2 blocks" in text
    layers = {row["name"]: row for row in json.loads(data.read_text())["layers"] if row["macs"]}
    assert "padding in memory; body runs_even; QACC in 2 of 2 blocks, margin" in layers["large"]["why"]
    assert "constants staged: 2 blocks" in layers["large"]["why"]
    assert layers["small"]["why"].endswith(
        "constants read in place: a cache holds each block, so each byte is fetched once"
    )
    assert len(layers["large"]["constants"]["parts"]) == 2
