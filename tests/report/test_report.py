"""The report of a network: complete, well-formed, harmless whatever the names are, legible in a browser."""

from __future__ import annotations

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wide_network import wide_network

from pienn import cli
from pienn.ir import file
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph
from pienn.report.page import render

TARGETS = ("host", "esp32p4", "esp32s3")
HOSTILE = """</title></svg><script>alert(1)</script><img src=x onerror="alert(2)">'&amp;"""
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags in order, text by tag, and every mistake in how tags are nested."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.names: list[str] = []
        self.mistakes: list[str] = []
        self.feed(text)
        self.close()
        self.mistakes += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "bdi":
            self.names.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if "bdi" in self.open:
            self.names[-1] += data


def write_report(graph: Graph, folder: Path, target: str, *options: str) -> tuple[str, dict]:
    """The page and the data of `pienn report`."""
    file.write(graph, folder / "model.pie")
    page, data = folder / "report.html", folder / "report.json"
    arguments = [str(folder / "model.pie"), "--target", target, "-o", str(page), "--json", str(data)]
    cli.pienn.main(["report", *arguments, *options], standalone_mode=False)
    return page.read_text(encoding="utf-8"), json.loads(data.read_text())


def sample_graph() -> Graph:
    """A residual block, a depthwise convolution, a pool, a view and a classifier."""
    source = np.random.default_rng(1)
    b = GraphBuilder("sample")
    number = 0

    def convolution(x, layer: str, weight_shape: tuple[int, ...], groups: int = 1):
        nonlocal number
        number += 1
        weight = b.constant(f"weight{number}", source.integers(-50, 51, weight_shape).astype(np.int8))
        bias = b.constant(f"bias{number}", source.integers(-999, 999, weight_shape[0]).astype(np.int32))
        return b.conv2d(
            x, weight, bias, weight_exponents=[-7] * weight_shape[0], padding=(1, 1, 1, 1), groups=groups,
            exponent=-2, zero_point=-128, layer=layer,
        )  # fmt: skip

    x = b.input("image", (8, 8, 3), -4, 0)
    y = convolution(x, "stem", (16, 3, 3, 3))
    z = convolution(y, "depthwise", (16, 3, 3, 1), groups=16)
    z = convolution(z, "block.convolution", (16, 3, 3, 16))
    y = b.add(y, z, exponent=-2, zero_point=0, layer="block.add")
    y = b.max_pool2d(y, kernel=(2, 2), strides=(2, 2), layer="pool")
    y = b.reshape(y, shape=(256,), layer="flatten")
    weight = b.constant("last.weight", source.integers(-50, 51, (10, 256)).astype(np.int8))
    bias = b.constant("last.bias", np.zeros(10, np.int32))
    y = b.fully_connected(
        y, weight, bias, weight_exponents=[-7] * 10, exponent=-1, zero_point=0, layer="classifier"
    )
    b.output("scores", y)
    return b.build()


def with_hostile_names(value: Any, key: str = "") -> Any:
    """The data of a report with everything that could come from a model replaced."""
    if isinstance(value, dict):
        return {key: with_hostile_names(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [with_hostile_names(item, key) for item in value]
    free = ("model", "source", "name", "layer", "tensors", "why", "setting")
    return HOSTILE if key in free and isinstance(value, str) else value


@pytest.mark.parametrize("target", TARGETS)
def test_page_is_well_formed_and_shows_every_layer(target, tmp_path):
    graph = sample_graph()
    text, data = write_report(graph, tmp_path, target)
    page = Page(text)
    assert page.mistakes == []
    wanted = {op.layer for op in graph.layers} | {port.name for port in (*graph.inputs, *graph.outputs)}
    assert wanted <= set(page.names)
    assert wanted <= {row["name"] for kind in ("inputs", "layers", "outputs") for row in data[kind]}


@pytest.mark.parametrize("target", TARGETS)
def test_page_needs_nothing_besides_itself(target, tmp_path):
    page = Page(write_report(sample_graph(), tmp_path, target)[0])
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href"):
                assert (value or "").startswith("#"), f"<{tag} {name}={value}>"
            assert not name.startswith("on"), f"<{tag} {name}>"


@pytest.mark.parametrize("target", TARGETS)
def test_names_are_shown_and_do_nothing(target, tmp_path):
    data = with_hostile_names(write_report(sample_graph(), tmp_path, target)[1])
    page = Page(render(data))
    assert page.mistakes == []
    assert page.names.count(HOSTILE) > len(data["layers"])
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("target", ("esp32p4", "esp32s3"))
def test_sums_are_those_of_the_calls(target, tmp_path):
    _, data = write_report(sample_graph(), tmp_path, target, "--weights-in", "flash")
    totals, calls, layers = data["totals"], data["calls"], data["layers"]
    assert totals["cycles"] == sum(call["cycles"] or 0 for call in calls) > 0
    assert totals["cycles"] == sum(layer["cycles"] or 0 for layer in layers)
    assert sorted(number for layer in layers for number in layer["calls"]) == list(range(len(calls)))
    for memory, size in totals["moved"].items():
        assert size == sum(layer["moved"].get(memory, 0) for layer in layers)
    assert totals["moved"]["flash"] > 0
    missing = [call["number"] for call in calls if call["cycles"] is None]
    assert sorted(number for reason in data["reference"] for number in reason["calls"]) == missing


@pytest.mark.parametrize("target", TARGETS)
def test_storages_fill_the_arena_and_never_overlap(target, tmp_path):
    arena = write_report(sample_graph(), tmp_path, target)[1]["arena"]
    rows = arena["storages"]
    for i, a in enumerate(rows):
        assert a["tensors"], "a storage of no tensor"
        assert a["offset"] >= 0 and a["offset"] + a["bytes"] <= arena["bytes"]
        for b in rows[:i]:
            together = a["first"] <= b["last"] and b["first"] <= a["last"]
            apart = a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
            assert apart or not together, f"{a} overlaps {b}"


def test_every_block_of_the_s3_has_its_proof(tmp_path):
    text, data = write_report(sample_graph(), tmp_path, "esp32s3")
    proved = [call for call in data["calls"] if call["proof"]]
    assert proved
    for call in proved:
        assert len(call["proof"]) == -(-call["shape"][-1] // 16), call["layer"]
        for block in call["proof"]:
            assert (block["margin"] >= 0) == (block["mode"] == "QACC")
            assert f"{block['mode']}, margin {block['margin']:.2f} bits" in text
    _, data = write_report(sample_graph(), tmp_path, "esp32p4")
    assert not any(call["proof"] for call in data["calls"])


def test_constants_say_where_they_lie_and_what_is_staged(tmp_path):
    options = ("--memory", "esp32s3@240", "--weights-in", "flash")
    text, data = write_report(wide_network(), tmp_path, "esp32s3", *options)
    assert not Page(text).mistakes
    large, small = (next(row for row in data["layers"] if row["name"] == name) for name in ("large", "small"))
    assert [home["parts"] for home in large["homes"]] == [2] and [
        home["parts"] for home in small["homes"]
    ] == [0]
    for home in (*large["homes"], *small["homes"]):
        assert home["why"] and home["why"] in text
    assert data["totals"]["homes"] == {"flash": data["totals"]["constant_bytes"]}
    assert any(storage["tensors"] == ["constants of large"] for storage in data["arena"]["storages"])
    arena = data["arena"]["bytes"]
    _, data = write_report(wide_network(), tmp_path, "esp32s3", *options, "--sram", f"{arena + 2000}")
    assert (
        data["totals"]["homes"].keys() == {"SRAM", "flash"} and data["totals"]["sram_bytes"] <= arena + 2000
    )


# ---- In a browser ----

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip
DESKTOP, PHONE = 1280, 360  # px

# A frame is as narrow as a phone, which a window cannot be; the page forbids scripts, so its frame's parent measures.
FRAME = """<!doctype html><body style="margin:0"><script type="application/json" id="page">{page}</script>
<iframe id="frame" style="border:0;width:{width}px;height:2500px"></iframe><pre id="found"></pre><script>
const frame = document.getElementById("frame");
frame.onload = () => {{
  const view = frame.contentDocument, elements = [...view.body.querySelectorAll("*")];
  const texts = elements.filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
  const shown = texts.filter(e => !["title", "STYLE", "SCRIPT"].includes(e.tagName));
  const sizes = shown.map(e => parseFloat(view.defaultView.getComputedStyle(e).fontSize));
  document.getElementById("found").textContent = JSON.stringify({{
    width: view.documentElement.scrollWidth, smallest: Math.min(...sizes), texts: sizes.length}});
}};
frame.srcdoc = JSON.parse(document.getElementById("page").textContent);
</script>"""


def in_browser(chromium: str, folder: Path, page: str, width: int, *flags: str) -> str:
    """What Chromium prints for the page in a frame of some width."""
    frame = folder / f"frame{width}.html"
    frame.write_text(FRAME.format(page=json.dumps(page).replace("<", "\\u003c"), width=width))
    command = [
        chromium,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},2500",
        *flags,
    ]
    done = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("width", (DESKTOP, PHONE))
def test_page_is_legible_in_a_browser(width, tool, tmp_path):
    page, data = write_report(sample_graph(), tmp_path, "esp32s3")
    dumped = in_browser(tool("chromium"), tmp_path, page, width, "--dump-dom", "--virtual-time-budget=2000")
    found = json.loads(dumped.split('<pre id="found">')[1].split("</pre>")[0])
    assert found["width"] == width, "the page is wider than its window"
    assert found["smallest"] >= 11, "px"
    assert found["texts"] > 10 * len(data["layers"])


@pytest.mark.parametrize("width", (DESKTOP, PHONE))
def test_screenshot_shows_the_colours_of_the_bars(width, tool, tmp_path):
    image = pytest.importorskip("PIL.Image")
    page, _ = write_report(sample_graph(), tmp_path, "esp32p4")
    shot = tmp_path / "shot.png"
    in_browser(tool("chromium"), tmp_path, page, width, f"--screenshot={shot}", "--virtual-time-budget=2000")
    pixels = np.asarray(image.open(shot).convert("RGB"))
    for colour in ((0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x1C, 0x23, 0x2B)):
        assert (pixels == colour).all(axis=2).sum() > 100, f"hardly any pixel is {colour}"
