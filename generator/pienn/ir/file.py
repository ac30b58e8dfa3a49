"""Reads and writes ``.pie`` files (docs/SPEC.md, section 4).

A file is untrusted: the reader checks sizes before it reads, words before it parses, and everything after; whatever
is wrong leaves as one PiennError of one line that names the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from pienn.errors import PiennError
from pienn.ir import archive, tensors
from pienn.ir.dialect import OPERATIONS
from pienn.ir.graph import Graph, new_context
from pienn.ir.verifier import PATH, verify
from pienn.version import VERSION

FORMAT = 1
LIMITS = {"graph.mlir": 16 << 20, "weights.safetensors": 512 << 20, "meta.json": 1 << 20}
"""The members in order, and their most bytes."""

MOST_OPERATIONS = 1 << 14
MOST_TOKENS = 1 << 20
MOST_ITEMS = 1 << 22
"""Most integers in all lists of a graph together, runs counted in full."""

FRAME = ("builtin.module", "func.func", "func.return")
WORDS = {
    *FRAME,
    *("array", "tensor", "true", "false", "i8", "i32", "i64", "ui16", "pienn.name", "pienn.permutation"),
    *(operation.name for operation in OPERATIONS),
    *(name for operation in OPERATIONS for name in (*operation.ATTRIBUTES, "layer")),
}
"""Every bare word that the text of a graph has: nothing else reaches the parser."""

TOKEN = re.compile(
    r"""(?P<space>[ \n]+)
    | (?P<run>x[ ][0-9]{1,8}(?![0-9A-Za-z_.]))
    | (?P<value>%[A-Za-z_][A-Za-z0-9_.]{0,250})
    | (?P<shape>[0-9]{1,9}(x[0-9]{1,9}){0,3}x(i8|i32|ui16)(?![0-9A-Za-z_.]))
    | (?P<integer>-?[0-9]{1,10}(?![0-9A-Za-z_.]))
    | (?P<word>[A-Za-z][A-Za-z0-9_.]*)
    | (?P<string>"[A-Za-z0-9_.]{0,250}")
    | (?P<mark>@main|\#pienn\.quantized|->|[{}()<>\[\],:=])""",
    re.VERBOSE,
)


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Writes a verified graph; the file appears whole or not at all.  Equal graphs give equal bytes."""
    verify(graph)
    data = to_bytes(graph)
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise PiennError(f"{target}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise PiennError(f"{target}: cannot be written: {error.strerror}") from None
        raise


def read(path: str | os.PathLike[str]) -> Graph:
    """The graph of a file, verified; PiennError names the file and what is wrong with it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            raise PiennError(f"{path}: not a file")
        with open(path, "rb") as stream:
            members = archive.unpack(stream, LIMITS)
    except OSError as error:
        raise PiennError(f"{path}: cannot be read: {error.strerror}") from None
    except archive.ArchiveError as error:
        raise PiennError(f"{path}: not a graph file: {error}") from None
    try:
        return _from_members(members)
    except PiennError as error:
        raise PiennError(f"{path}: {error}") from None


def to_bytes(graph: Graph) -> bytes:
    """The bytes of a graph's file."""
    first = {
        "graph.mlir": graph.text().encode("ascii"),
        "weights.safetensors": tensors.dump(graph.weights),
    }
    meta = {
        "format": FORMAT,
        "producer": graph.meta.get("producer", f"pienn {VERSION}"),
        "name": graph.name,
        "content": _digest(first),
        "accuracy": graph.meta.get("accuracy", {}),
    }
    _check_meta(meta)
    text = json.dumps(meta, indent=2, allow_nan=False) + "\n"
    return archive.pack({**first, "meta.json": text.encode("ascii")})


def parse(text: str) -> ModuleOp:
    """The module of a text; PiennError for whatever is no graph."""
    _check_words(text)
    try:
        return Parser(new_context(), text).parse_module()
    except Exception as error:  # a parser may raise anything on hostile text, RecursionError included
        lines = [line.strip(" ^") for line in str(error).splitlines() if line.strip(" ^")]
        reason = lines[-1][:120] if lines else type(error).__name__
        raise PiennError(f"graph.mlir: {reason.encode('ascii', 'replace').decode()}") from None


def _from_members(members: dict[str, bytes]) -> Graph:
    try:
        meta = tensors.read_json(members["meta.json"])
    except tensors.TensorsError as error:
        raise PiennError(f"meta.json: {error}") from None
    _check_meta(meta)
    if meta["content"] != _digest(members):
        raise PiennError("meta.json: its content hash does not fit the graph and the weights")
    try:
        weights = tensors.load(members["weights.safetensors"])
    except tensors.TensorsError as error:
        raise PiennError(f"weights.safetensors: {error}") from None
    try:
        text = members["graph.mlir"].decode("ascii")
    except UnicodeDecodeError:
        raise PiennError("graph.mlir: it is not ASCII") from None
    kept = {key: meta[key] for key in ("name", "producer", "accuracy")}
    graph = Graph(parse(text), weights, kept)
    verify(graph)
    return graph


def _digest(members: dict[str, bytes]) -> str:
    return hashlib.sha256(members["graph.mlir"] + members["weights.safetensors"]).hexdigest()


def _check_words(text: str) -> None:
    """Refuses words and marks that no graph has, and texts that would fill the memory."""
    if text.count("pienn.") > 4 * MOST_OPERATIONS:
        raise PiennError(f"graph.mlir: it has more than {MOST_OPERATIONS} operations")
    position = items = tokens = 0
    frame = Counter[str]()
    while position < len(text):
        token = TOKEN.match(text, position)
        if token is None or (token.lastgroup == "word" and token.group() not in WORDS):
            line = text.count("\n", 0, position) + 1
            raise PiennError(
                f"graph.mlir: line {line}: {text[position : position + 20]!a} is not part of any graph"
            )
        position = token.end()
        tokens += 1
        if token.lastgroup == "run":
            items += int(token.group()[2:])
        if token.group() in FRAME:
            frame[token.group()] += 1
        if tokens > MOST_TOKENS or items > MOST_ITEMS:
            raise PiennError(
                f"graph.mlir: it has more than {MOST_TOKENS} words or {MOST_ITEMS} integers in lists"
            )
    if any(frame[word] != 1 for word in FRAME):
        raise PiennError("graph.mlir: it is not one module with one function, @main")


def _check_meta(meta: Any) -> None:
    """Demands exactly the five entries, each as it should be."""
    if not isinstance(meta, dict) or "format" not in meta:
        raise PiennError("meta.json: it has no format")
    if type(meta["format"]) is not int or meta["format"] != FORMAT:
        raise PiennError(
            f"meta.json: format {str(meta['format'])[:20]!a} is unknown, this program reads {FORMAT}"
        )
    if set(meta) != {"format", "producer", "name", "content", "accuracy"}:
        raise PiennError("meta.json: it has not just format, producer, name, content and accuracy")
    if not isinstance(meta["name"], str) or not PATH.fullmatch(meta["name"]):
        raise PiennError(f"meta.json: the name {str(meta['name'])[:40]!a} is not 1 to 200 of A-Z a-z 0-9 _ .")
    if not isinstance(meta["content"], str) or not isinstance(meta["accuracy"], dict):
        raise PiennError("meta.json: content is no string, or accuracy no object")
    _check_figures(meta["producer"], 0)
    _check_figures(meta["accuracy"], 0)


def _check_figures(value: Any, depth: int) -> None:
    """Figures and short printable texts: they reach terminals and reports."""
    if isinstance(value, (dict, list)) and depth < 4 and len(value) <= 4096:
        for item in value:
            _check_figures(item, depth + 1)
            if isinstance(value, dict):
                _check_figures(value[item], depth + 1)
    elif isinstance(value, str):
        if len(value) > 200 or not value.isascii() or not value.isprintable():
            raise PiennError("meta.json: a text is longer than 200 characters or not printable ASCII")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise PiennError("meta.json: accuracy holds something other than figures and texts")
