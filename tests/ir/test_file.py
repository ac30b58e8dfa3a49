"""Graph files: what is written reads back, and nothing hostile gets further than one line of complaint."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from random_graphs import graphs, random_graph, random_inputs
from test_dialect import small_graph

from pienn.errors import PiennError
from pienn.ir import archive, file, tensors
from pienn.ir.graph import Graph
from pienn.ir.interpreter import run

MEMBERS = ("graph.mlir", "weights.safetensors", "meta.json")


@settings(max_examples=40, deadline=None)
@given(graph=graphs())
def test_what_is_written_reads_back_to_the_byte(graph: Graph) -> None:
    data = file.to_bytes(graph)
    members = archive.unpack(io.BytesIO(data), file.LIMITS)
    again = file._from_members(members)
    assert file.to_bytes(again) == data
    inputs = random_inputs(graph, 0, batch=2)
    for ours, theirs in zip(run(graph, inputs), run(again, inputs)):
        np.testing.assert_array_equal(ours, theirs)


def test_other_tools_read_the_file(tmp_path: Path) -> None:
    graph = random_graph(3, 12)
    file.write(graph, tmp_path / "a.pie")
    with zipfile.ZipFile(tmp_path / "a.pie") as archive_file:
        assert tuple(archive_file.namelist()) == MEMBERS
        assert archive_file.testzip() is None
        assert {info.date_time for info in archive_file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        weights = safetensors.numpy.load(archive_file.read("weights.safetensors"))
    assert set(weights) == set(graph.weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(array, graph.weights[name])


def test_writing_is_atomic_and_repeatable(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pie", tmp_path / "b.pie"
    file.write(small_graph(), first)
    file.write(small_graph(), second)
    assert first.read_bytes() == second.read_bytes()
    mask = os.umask(0)
    os.umask(mask)
    assert first.stat().st_mode & 0o777 == 0o666 & ~mask
    with pytest.raises(PiennError, match="cannot be written"):
        file.write(small_graph(), tmp_path / "no such folder" / "a.pie")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PiennError, match="cannot be written"):
        file.write(small_graph(), tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pie", "b.pie", "folder"]


def test_an_invalid_graph_is_not_written(tmp_path: Path) -> None:
    graph = small_graph()
    graph.weights["spare"] = np.zeros(1, np.int8)
    with pytest.raises(PiennError, match="spare"):
        file.write(graph, tmp_path / "a.pie")
    assert not list(tmp_path.iterdir())


def valid() -> dict[str, bytes]:
    return archive.unpack(io.BytesIO(file.to_bytes(small_graph())), file.LIMITS)


def seal(members: dict[str, bytes], **meta: Any) -> bytes:
    """A file of these members whose hash is right."""
    facts = json.loads(valid()["meta.json"])
    facts["content"] = hashlib.sha256(members["graph.mlir"] + members["weights.safetensors"]).hexdigest()
    return archive.pack({**members, "meta.json": json.dumps({**facts, **meta}).encode()})


def refuse(data: bytes, path: Path, reason: str) -> None:
    """The file is refused with one line that names it and gives the reason."""
    path.write_bytes(data)
    with pytest.raises(PiennError, match=reason) as caught:
        file.read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and message.isprintable()
    assert len(message) - len(str(path)) < 400


def repack(change: Callable[[zipfile.ZipFile], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for name, data in valid().items():
            target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, compression)
        change(target)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives(tmp_path: Path) -> None:
    path, members = tmp_path / "a.pie", valid()
    good = file.to_bytes(small_graph())
    refuse(b"", path, "no member graph.mlir")
    refuse(b"\x80\x04" + bytes(200), path, "no member graph.mlir")
    refuse(repack(lambda target: None, zipfile.ZIP_DEFLATED), path, "compressed")
    refuse(repack(lambda target: target.writestr("extra", b"")), path, "not as this program|more or other")
    refuse(
        repack(lambda target: target.writestr("graph.mlir", b"")), path, "not as this program|more or other"
    )
    refuse(archive.pack({**members, "../../evil": b""}), path, "more or other members")
    refuse(archive.pack({"../graph.mlir": members["graph.mlir"]}), path, "another member where graph.mlir")
    refuse(archive.pack(dict(reversed(members.items()))), path, "another member where graph.mlir")
    refuse(archive.pack({name: members[name] for name in MEMBERS[:2]}), path, "no member meta.json")
    refuse(good + b"\0", path, "more or other members")
    refuse(b"\0" + good, path, "no member graph.mlir")
    for length in (10, 40, 60, len(good) // 2, len(good) - 30, len(good) - 1):
        refuse(good[:length], path, "no member|it ends within|damaged")
    bomb = bytearray(good)
    struct.pack_into("<LL", bomb, 18, 2**32 - 1, 2**32 - 1)
    refuse(bytes(bomb), path, "4294967295 bytes, more than")
    lying = bytearray(good)
    struct.pack_into("<L", lying, 22, 7)
    refuse(bytes(lying), path, "not as this program")
    damaged = bytearray(good)
    damaged[60] ^= 1
    refuse(bytes(damaged), path, "checksum")
    encrypted = bytearray(good)
    encrypted[6] = 1
    refuse(bytes(encrypted), path, "not as this program")


def test_not_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(PiennError, match=f"{path}: not a file"):
            file.read(path)
    with pytest.raises(PiennError, match="cannot be read: No such file"):
        file.read(tmp_path / "absent.pie")


def header(entries: str, data: bytes = b"\0" * 16) -> bytes:
    text = entries.encode()
    return struct.pack("<Q", len(text)) + text + data


ENTRY = '{"dtype":"I8","shape":[16],"data_offsets":[0,16]}'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than"),
        (struct.pack("<Q", 2**63) + b"{}", "claims"),
        (struct.pack("<Q", 9 << 20) + b"{" + b" " * (9 << 20), "claims"),
        (header("[]"), "not an object"),
        (header('{"a":1}'), "not just dtype"),
        (header('{"a":' + ENTRY + ',"a":' + ENTRY + "}"), "key twice"),
        (header('{"a":{"dtype":"I8","dtype":"I8","shape":[16],"data_offsets":[0,16]}}'), "key twice"),
        (header('{"../a":' + ENTRY + "}"), "tensor name"),
        (header('{"*/ int x; /*":' + ENTRY + "}"), "tensor name"),
        (header('{"":' + ENTRY + "}"), "tensor name"),
        (header('{"__metadata__":{}}', b""), "tensor name"),
        (header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'), "none of"),
        (header('{"a":{"dtype":["I8"],"shape":[16],"data_offsets":[0,16]}}'), "none of"),
        (header('{"a":{"dtype":"I8","shape":[0,1152921504606846976],"data_offsets":[0,0]}}'), "large"),
        (header('{"a":{"dtype":"I8","shape":[0,1048576],"data_offsets":[0,0]}}', b""), "1 to 4 axes"),
        (header('{"a":{"dtype":"I8","shape":[-4,-4],"data_offsets":[0,16]}}'), "1 to 4 axes"),
        (header('{"a":{"dtype":"I8","shape":[1,1,1,1,16],"data_offsets":[0,16]}}'), "short list"),
        (header('{"a":{"dtype":"I8","shape":[true],"data_offsets":[0,1]}}', b"\0"), "short list"),
        (header('{"a":{"dtype":"I8","shape":[16.0],"data_offsets":[0,16]}}'), "short list"),
        (header('{"a":{"dtype":"I8","shape":[99999999,99999999],"data_offsets":[0,16]}}'), "as many bytes"),
        (header('{"a":{"dtype":"I8","shape":[32],"data_offsets":[0,32]}}'), "outside the data"),
        (header('{"a":{"dtype":"I8","shape":[16],"data_offsets":[16,0]}}'), "outside the data"),
        (header('{"a":{"dtype":"I8","shape":[8],"data_offsets":[8,16]}}'), "gaps"),
        (header('{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}}'), "gaps"),
        (header('{"a":' + ENTRY + ',"b":' + ENTRY + "}"), "overlap"),
        (header('{"a":{"dtype":"I8","shape":[NaN],"data_offsets":[0,16]}}'), "NaN"),
        (header('{"a":' * 50000), "nested too deep|malformed"),
        (header("[" * 50000 + "]" * 50000), "nested too deep"),
        (header('{"a":{"dtype":"I8","shape":[' + "9" * 5000 + '],"data_offsets":[0,16]}}'), "large"),
        (header('{"\xe4":1}'), "malformed"),
    ],
)
def test_hostile_weights(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(tensors.TensorsError, match=reason):
        tensors.load(data)
    refuse(seal({**valid(), "weights.safetensors": data}), tmp_path / "a.pie", "weights.safetensors: ")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"", b"", "but should be|no operation"),
        (b"-7 x 5", b"-7 x 9999999", "integers in lists"),
        (b"-7 x 5", b"-7 x  5", "graph.mlir: line 5"),
        (b"-7 x 5", b"-7 x// \n5", "graph.mlir: line 5"),
        (b"-7 x 5", b", ".join([b"-7 x 1048576"] * 9), "integers in lists"),
        (b"-7 x 5", b"1, " * 600000, "graph.mlir: it has more than 1048576 words"),
        (b"-7 x 5", b"-7 x 4", "weight_exponents has 7 entries"),
        (b"-7 x 5", b"99999999999", "graph.mlir: line 5"),
        (b'layer = "stem.0"', b'layer = "*/ int x; /*"', "graph.mlir: line 5"),
        (b'layer = "stem.0"', b'layer = "../../etc"', "not 1 to 200|graph.mlir: line 5"),
        (b'layer = "stem.0"', b'layer = "' + b"a" * 201 + b'"', "layer path"),
        (b'layer = "stem.0"', b'layer = ""', "layer path"),
        (b"[2, 2], padding", b"[" * 5000 + b"], padding", "graph.mlir: "),
        (b"builtin.module {", b"builtin.module {" * 5000, "graph.mlir: "),
        (b"builtin.module {", b"builtin.module {\n  builtin.module {\n  }", "one function"),
        (b"tensor<4x3x8xi8", b"tensor<4x3x99999999xi8", "but should be|elements"),
        (b"tensor<4x3x8xi8", b"tensor<" * 50000, "graph.mlir: .*recursion"),
        (b"tensor<4x3x8xi8", b"tensor<*xi8", "graph.mlir: line 5"),
        (b"tensor<4x3x8xi8", b"tensor<?x3x8xi8", "graph.mlir: line 5"),
        (b"tensor<4x3x8xi8", b"dense<0> : tensor<4x3x8xi8", "'dense' is not|'dense<0>"),
        (b"%stem.weight, ", b"", "expected|operand"),
        (b"%stem.0 {kernel", b"%missing {kernel", "before its definition"),
        (b"%stem.0 {kernel", b"%pool {kernel", "before its definition"),
        (b"  }\n}\n", b"  }\n}\nbuiltin.module {\n}\n", "one function"),
        (b"func.return %pool", b"func.return %x", "type|computed|result"),
        (b"2x2x8xi8, #pienn.quantized<-4, -128>", b"2x2x8xi8, #pienn.quantized<-4, 5>", "zero point"),
        (b'"stem.bias"} : tensor<8xi32>', b'"stem.bias"} : tensor<8xi8>', "stem.bias is int32"),
        (b'"stem.bias"}', b'"stem.weight"}', "two constants|among the weights"),
    ],
)
def test_hostile_text(old: bytes, new: bytes, reason: str, tmp_path: Path) -> None:
    members = valid()
    assert old in members["graph.mlir"]
    text = members["graph.mlir"].replace(old, new, 1) if old else b"builtin.module {\n}\n"
    reason = reason if old else "one function"
    refuse(seal({**members, "graph.mlir": text}), tmp_path / "a.pie", reason)


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"format": 2}, "format '2' is unknown"),
        ({"format": True}, "unknown"),
        ({"format": None}, "unknown"),
        ({"content": "0" * 64}, "content hash"),
        ({"content": None}, "content is no string"),
        ({"name": "*/ int x; /*"}, "name .* is not"),
        ({"name": "../x"}, "name .* is not"),
        ({"name": ["x"]}, "name .* is not"),
        ({"extra": 1}, "not just"),
        ({"producer": "\x1b[2J"}, "not printable"),
        ({"accuracy": {"\x1b[2J": 1}}, "not printable"),
        ({"accuracy": 7}, "no object"),
        ({"accuracy": {"a": [[[[[[1]]]]]]}}, "other than figures"),
    ],
)
def test_hostile_facts(meta: dict[str, Any], reason: str, tmp_path: Path) -> None:
    refuse(seal(valid(), **meta), tmp_path / "a.pie", f"meta.json: .*({reason})")


def test_malformed_facts(tmp_path: Path) -> None:
    for data in (b"", b"[]", b"{", b'{"format": 1}', b"[" * 100000, b'{"format": 1e999}', b"\xff"):
        refuse(archive.pack({**valid(), "meta.json": data}), tmp_path / "a.pie", "meta.json: ")


def test_mutated_files_raise_nothing_but_one_line(tmp_path: Path) -> None:
    """Mutations at every level: of the archive, and of the members under a right checksum and hash."""
    good, path = file.to_bytes(random_graph(11, 9)), tmp_path / "a.pie"
    members = archive.unpack(io.BytesIO(good), file.LIMITS)
    refused = 0
    for seed in range(400):
        source = random.Random(seed)
        name = source.choice(("archive", *MEMBERS, "graph.mlir", "weights.safetensors"))
        data = bytearray(good if name == "archive" else members[name])
        end = len(data) if name != "weights.safetensors" else 1200
        for _ in range(source.randint(1, 3)):
            position = source.randrange(min(end, len(data)))
            piece = data[position : position + source.randint(1, 12)]
            match source.randrange(5):
                case 0:
                    data[position] = source.randrange(256)
                case 1:
                    del data[position : position + len(piece)]
                case 2:
                    data[position:position] = piece * source.randint(1, 30)
                case 3:
                    data[position:position] = source.choice(
                        (b"9", b"-", b"{", b'"', b"%x", b" x 9", b"[", b",")
                    )
                case 4:
                    other = source.randrange(min(end, len(data)))
                    data[other : other + len(piece)] = piece
        if name == "archive":
            path.write_bytes(bytes(data))
        elif name == "meta.json":
            path.write_bytes(archive.pack({**members, name: bytes(data)}))
        else:
            path.write_bytes(seal({**members, name: bytes(data)}))
        try:
            file.read(path)
        except PiennError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).isprintable(), f"seed {seed}: {error!r}"
        except Exception as error:
            raise AssertionError(f"seed {seed}, {name}") from error
    assert refused > 300
