"""Tests whose device is not there are skipped, with what is missing."""

from __future__ import annotations

import os
import shutil

import pytest

COMPILERS = {"esp32p4": "riscv64-unknown-elf-gcc", "esp32s3": "xtensa-lx106-elf-gcc"}
BOARDS = ("esp32p4", "esp32s3")


def missing_device(item: pytest.Item) -> str | None:
    """Why the item's device is not there."""
    services = item.config.getoption("embedded_services") or ""
    markers = {mark.name for mark in item.iter_markers()}
    if "qemu" in markers and "qemu" not in services:
        return "needs Espressif's QEMU and an ESP-IDF build: run with --embedded-services idf,qemu"
    if markers.intersection(BOARDS) and "esp" not in services.split(","):
        return "needs a board and an ESP-IDF build: run with --embedded-services esp,idf"
    if os.environ.get("PIENN_REQUIRE_TOOLS"):
        return None
    if markers & {"simulator", "host_test"} and "idf" not in services and shutil.which("cmake") is None:
        return "cmake is not installed"
    if "simulator" in markers:
        target = item.callspec.params["target"]  # pyright: ignore[reportAttributeAccessIssue]
        if shutil.which(COMPILERS[target]) is None:
            return f"{COMPILERS[target]} is not installed"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason = missing_device(item)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
