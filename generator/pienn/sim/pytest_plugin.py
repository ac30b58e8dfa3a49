"""A pytest plug-in: with pytest-embedded, tests marked `simulator` get a simulated chip as their `dut`.

It is found by itself where the generator is installed, and does nothing where pytest-embedded is not in use.

    @pytest.mark.simulator
    @pytest.mark.parametrize("target", ["esp32p4", "esp32s3"], indirect=True)
    def test_app(dut):
        dut.run_all_single_board_cases()

Tests marked `host_test` get the app as a program of this machine, unless the service `idf` is asked for.
"""

from __future__ import annotations

import pytest

MARKERS = (
    "simulator: runs on a simulated chip",
    "host_test: runs as a program of this machine",
    "qemu: runs in Espressif's QEMU (--embedded-services idf,qemu)",
    "esp32p4: runs on a board with an ESP32-P4 (--embedded-services esp,idf)",
    "esp32s3: runs on a board with an ESP32-S3 (--embedded-services esp,idf)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pienn", "simulated chips")
    group.addoption(
        "--pienn-memory", default="ideal", help="memory model of simulated chips (default: %(default)s)"
    )
    group.addoption("--pienn-revision", choices=["1", "3"], help="of the simulated ESP32-P4 (default: 3)")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # Registered last, its fixture `dut` takes the place of pytest-embedded's.
    if config.pluginmanager.hasplugin("pytest_embedded"):
        from pienn.sim import embedded

        config.pluginmanager.register(embedded, "pienn-embedded")
