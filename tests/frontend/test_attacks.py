"""Nothing in a model file is executed, and every bad file is refused in one line with exit code 2.

Each payload creates a folder when it runs. `test_torch_itself_executes` shows that the payloads work.
"""

from __future__ import annotations

import json
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks import (
    GRAPH,
    WEIGHTS,
    Members,
    Net,
    edit_json,
    good_pt2,
    payload_bytes,
    refused,
    rewrite,
    torch_payload,
)
from torch import nn

from pienn.cli import main
from pienn.errors import PiennError
from pienn.frontend import pt2
from pienn.frontend.archive import Archive
from pienn.frontend.loading import load_quantized

Change = Callable[[Members, Path], None]
CONSTANTS = "data/constants/model_constants_config.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return good_pt2(tmp_path_factory.mktemp("good") / "good.pt2")


def pickled_inputs(members: Members, mark: Path) -> None:
    members["data/sample_inputs/model.pt"] = torch_payload(mark)


def pickled_weight(members: Members, mark: Path) -> None:
    def change(document: Any) -> None:
        next(iter(document["config"].values())).update(use_pickle=True, path_name="weight_99")

    edit_json(WEIGHTS, change)(members)
    members["data/weights/weight_99"] = torch_payload(mark)


def pickled_constant(members: Members, mark: Path) -> None:
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    edit_json(CONSTANTS, lambda document: document["config"].update(extra=entry))(members)
    members["data/constants/opaque_obj_0"] = payload_bytes(mark)


def legacy_weights(members: Members, mark: Path) -> None:
    members["data/weights/model.pt"] = torch_payload(mark)


def code_as_size(members: Members, mark: Path) -> None:
    def change(document: Any) -> None:
        for meta in document["graph_module"]["graph"]["tensor_values"].values():
            for size in meta["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f"__import__('os').mkdir({str(mark)!r})"

    edit_json(GRAPH, change)(members)


def code_as_guard(members: Members, mark: Path) -> None:
    code = [f"__import__('os').mkdir({str(mark)!r}) or True"]
    edit_json(GRAPH, lambda document: document.update(guards_code=code))(members)


EXECUTED_BY_TORCH: dict[str, Change] = {
    f.__name__: f
    for f in (pickled_inputs, pickled_weight, pickled_constant, legacy_weights, code_as_size, code_as_guard)
}


@pytest.mark.parametrize("name", EXECUTED_BY_TORCH)
def test_torch_itself_executes(name: str, good: Path, tmp_path: Path):
    """If this fails, torch's loader has become safer, or the payload has rotted."""
    mark = tmp_path / "mark"
    hostile = rewrite(good, tmp_path / "hostile.pt2", lambda members: EXECUTED_BY_TORCH[name](members, mark))
    try:
        torch.export.load(hostile).module()(torch.zeros(2, 3, 8, 8))
    except Exception as error:
        print(f"torch: {error}")
    assert mark.exists()


@pytest.mark.parametrize("name", EXECUTED_BY_TORCH)
def test_nothing_in_a_pt2_is_executed(name: str, good: Path, tmp_path: Path):
    mark = tmp_path / "mark"
    hostile = rewrite(good, tmp_path / "hostile.pt2", lambda members: EXECUTED_BY_TORCH[name](members, mark))
    try:
        model = load_quantized(hostile, None, None, None, 4)
        model(torch.zeros(2, 3, 8, 8))
    except PiennError as error:
        assert "\n" not in str(error)
    assert not mark.exists()


def node(index: int, **entries: Any) -> Change:
    """Changes one node of the graph."""

    def change(members: Members, mark: Path) -> None:
        edit_json(GRAPH, lambda d: d["graph_module"]["graph"]["nodes"][index].update(entries))(members)

    return change


def graph(edit: Callable[[Any], Any]) -> Change:
    return lambda members, mark: edit_json(GRAPH, lambda document: edit(document) and None)(members)


def weights(**entries: Any) -> Change:
    def edit(document: Any) -> None:
        next(iter(document["config"].values()))["tensor_meta"].update(entries)

    return lambda members, mark: edit_json(WEIGHTS, edit)(members)


def sizes(*values: Any) -> list[dict[str, Any]]:
    return [{"as_int": value} for value in values]


def not_a_number(members: Members, mark: Path) -> None:
    members["data/weights/weight_0"] = struct.pack("<f", float("nan")) * (
        len(members["data/weights/weight_0"]) // 4
    )


def rename_everywhere(old: str, new: str) -> Change:
    def change(members: Members, mark: Path) -> None:
        members[GRAPH] = members[GRAPH].replace(json.dumps(old).encode(), json.dumps(new).encode())

    return change


def drop(name: str) -> Change:
    return lambda members, mark: members.pop(name) and None


STRING = [{"name": "p", "arg": {"as_string": "x"}, "kind": 1}]
REFUSED: dict[str, tuple[Change, str]] = {
    "any attribute of torch": (
        node(0, target="torch.os.mkdir", inputs=STRING),
        "torch.os.mkdir.* not supported",
    ),
    "operator that writes files": (node(0, target="torch.ops.aten.from_file.default"), "from_file"),
    "loading of code": (node(0, target="torch.ops.load_library", inputs=STRING), "not supported"),
    "python operator": (node(0, target="_operator.attrgetter"), "attrgetter.* not supported"),
    "unknown overload": (node(0, target="torch.ops.aten.conv2d.__class__"), "not supported"),
    "hostile layer": (rename_everywhere("conv2d", "*/ int x; /*"), "no name for a tensor"),
    "hostile weight name": (rename_everywhere("conv.weight", "../../etc/x"), "no name for a weight"),
    "shape beyond the file": (weights(sizes=sizes(1 << 20, 1 << 20), strides=sizes(1, 1)), "claims shape"),
    "shape beyond counting": (weights(sizes=sizes(0, 1 << 60), strides=sizes(1, 1)), "plain number"),
    "negative size": (weights(sizes=sizes(-1), strides=sizes(1)), "plain number"),
    "size that is no number": (weights(sizes=[{"as_expr": {"expr_str": "1"}}]), "plain number"),
    "stride beyond the file": (weights(strides=sizes(1 << 30, 1, 1, 1)), "reaches beyond"),
    "offset beyond the file": (weights(storage_offset={"as_int": 1 << 30}), "reaches beyond"),
    "complex weights": (weights(dtype=9), "element type"),
    "NaN weights": (not_a_number, "NaN"),
    "missing weights": (drop("data/weights/weight_0"), "missing"),
    "missing config": (drop(WEIGHTS), "missing"),
    "missing graph": (drop(GRAPH), "save it again"),
    "no JSON": (lambda m, _: m.update({GRAPH: b"\xff\xfe{"}), "not valid JSON"),
    "deep JSON": (lambda m, _: m.update({GRAPH: b"[" * 200_000 + b"]" * 200_000}), "not valid JSON"),
    "key given twice": (lambda m, _: m.update({GRAPH: b'{"a": 1, "a": 2}'}), "same key twice"),
    "other schema": (graph(lambda d: d["schema_version"].update(major=99)), "schema version 99"),
    "list instead of object": (lambda m, _: m.update({GRAPH: b"[]"}), "an object was expected"),
    "batch baked in": (
        graph(
            lambda d: d["graph_module"]["graph"]["tensor_values"]["x"]["sizes"].__setitem__(0, {"as_int": 4})
        ),
        "batch 4",
    ),
    "dynamic height": (
        graph(
            lambda d: d["graph_module"]["graph"]["tensor_values"]["x"].update(
                sizes=[
                    {"as_expr": {"expr_str": "s0"}},
                    {"as_int": 3},
                    {"as_expr": {"expr_str": "s1"}},
                    {"as_int": 8},
                ]
            )
        ),
        "only the batch axis may be dynamic",
    ),
    "huge padding": (
        node(
            1,
            target="torch.ops.aten.pad.default",
            inputs=[
                {"name": "self", "arg": {"as_tensor": {"name": "conv2d"}}, "kind": 1},
                {"name": "pad", "arg": {"as_ints": [0, 1 << 20, 0, 1 << 20]}, "kind": 1},
            ],
        ),
        "2\\^28",
    ),
    "use before definition": (
        node(0, inputs=[{"name": "input", "arg": {"as_tensor": {"name": "relu"}}, "kind": 1}]),
        "before it is defined",
    ),
    "argument of the wrong type": (
        node(0, inputs=[{"name": "input", "arg": {"as_operator": "torch.load"}, "kind": 1}]),
        "not supported",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_pt2_is_refused_in_one_line(
    name: str, good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    change, message = REFUSED[name]
    mark = tmp_path / "mark"
    hostile = rewrite(good, tmp_path / "hostile.pt2", lambda members: change(members, mark))
    refused(["export", str(hostile), "--random", "4", "-o", str(tmp_path / "out.pie")], message, capfd)
    assert not mark.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.pt2"]


def zipped(path: Path, entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in entries:
                archive.writestr(name, data)
    return path


def test_archives_with_tricks_are_refused(tmp_path: Path):
    def check(entries: list[tuple[str, bytes]], message: str, method: int = zipfile.ZIP_STORED) -> None:
        with pytest.raises(PiennError, match=message):
            Archive(zipped(tmp_path / "trick.pt2", entries, method))

    check([("m/a", b"1"), ("m/a", b"2")], "occurs twice")
    check([("m/../../a", b"1")], "unsafe name")
    check([("/etc/a", b"1")], "unsafe name")
    check([("m/a\n", b"1")], "unsafe name")
    check([("m/a", b"1"), ("n/a", b"1")], "several root folders|occurs twice")
    check([("m/a", bytes(1 << 20))], "compressed", zipfile.ZIP_DEFLATED)


def test_a_member_that_claims_more_than_the_file_is_refused(good: Path, tmp_path: Path):
    data = bytearray(good.read_bytes())
    start = data.rfind(b"PK\x01\x02")
    for offset in (20, 24):
        data[start + offset : start + offset + 4] = struct.pack("<I", 0x7FFF_0000)
    target = tmp_path / "large.pt2"
    target.write_bytes(bytes(data))
    with pytest.raises(PiennError, match=r"more than|complete zip"):
        pt2.load(target)


def test_an_oversized_file_is_refused_before_it_is_read(tmp_path: Path):
    target = tmp_path / "sparse.pt2"
    with target.open("wb") as stream:
        stream.truncate(3 << 30)
    with pytest.raises(PiennError, match="more than"):
        pt2.load(target)


def test_a_truncated_file_is_refused_wherever_it_is_cut(good: Path, tmp_path: Path):
    data = good.read_bytes()
    target = tmp_path / "cut.pt2"
    for length in range(0, len(data), max(1, len(data) // 40)):
        target.write_bytes(data[:length])
        with pytest.raises(PiennError):
            pt2.load(target)


def test_flipped_bytes_are_refused_or_harmless(good: Path, tmp_path: Path):
    """Bytes of the graph's text; zip checks catch most, so the archive is written anew around them."""
    generator = torch.Generator().manual_seed(11)
    target = tmp_path / "flipped.pt2"
    for case in range(150):
        position, value = (int(torch.randint(0, n, (1,), generator=generator)) for n in (1 << 30, 256))

        def flip(members: Members, position: int = position, value: int = value) -> None:
            text = bytearray(members[GRAPH])
            text[position % len(text)] = value
            members[GRAPH] = bytes(text)

        rewrite(good, target, flip)
        try:
            pt2.load(target)
        except PiennError as error:
            assert "\n" not in str(error), f"case {case}"


def test_hostile_module_names_reach_no_file_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A layer called `*/ int x; /*` is cleaned before it reaches a graph."""
    (tmp_path / "hostile_names.py").write_text(
        "import torch\n"
        "def build():\n"
        "    net = torch.nn.Sequential()\n"
        "    net.add_module('*/ int x; /*', torch.nn.Linear(4, 4))\n"
        "    net.add_module('#include \"/etc/passwd\"', torch.nn.ReLU())\n"
        "    return net.eval(), (4,)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    target = tmp_path / "out.pie"
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--factory", "hostile_names:build", "--random", "8", "-o", str(target)])
    assert stopped.value.code == 0
    with zipfile.ZipFile(target) as archive:
        for name in archive.namelist():
            if name != "weights.safetensors":
                text = archive.read(name)
                assert b"*/" not in text and b"#include" not in text and b"/etc" not in text


def test_an_honest_file_still_passes(good: Path):
    program = pt2.load(good)
    x = torch.randn(5, 3, 8, 8)
    assert torch.equal(program.module(x), Net().eval()(x))
    assert program.shapes == ((3, 8, 8),) and not program.quantised


def test_a_program_exported_with_batch_1_passes(tmp_path: Path):
    target = tmp_path / "one.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(1, 3, 8, 8),)), target)
    model = load_quantized(target, None, None, None, 32)
    x = torch.randn(3, 3, 8, 8)
    assert torch.allclose(model(x), Net().eval()(x), atol=0.1)


def test_modules_in_sys_path_are_not_shadowed_by_the_model_file(tmp_path: Path):
    """Loading leaves sys.modules as it was but for the package's own and torch's modules."""
    before = set(sys.modules)
    pt2.load(good_pt2(tmp_path / "a.pt2", nn.Sequential(nn.Linear(3, 2)), 3))
    new = {name.split(".")[0] for name in set(sys.modules) - before}
    assert new <= {"pienn", "torch", "torchao", "sympy", "mpmath"}
