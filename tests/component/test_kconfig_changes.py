"""A value of Kconfig that changes what is generated regenerates each model exactly once; no other value does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from component_project import run, write_model
from test_esp_idf_files import REGISTERS_COMPONENTS_ONLY

PIE = "PIENN_BACKEND_PIE PIENN_WEIGHT_STAGING PIENN_LOG_WARNING"
# One after the other: the symbols that are set, whether the model is generated anew, and what its C then shows.
CHANGES = [
    (PIE, True, "pienn_fully_connected_s8("),
    (PIE, False, "pienn_fully_connected_s8("),
    ("PIENN_BACKEND_PIE PIENN_LOG_WARNING", True, "pienn_fully_connected_s8("),
    ("PIENN_BACKEND_PIE PIENN_LOG_NONE PIENN_PROFILE PIENN_CHECKS", False, "pienn_fully_connected_s8("),
    ("PIENN_BACKEND_SHADOW", True, "model_run_shadow("),
    ("PIENN_BACKEND_REFERENCE PIENN_ARENA_PSRAM", True, "pienn_fully_connected_s8("),
    (PIE, True, "pienn_fully_connected_s8("),
]


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_models_are_generated_anew_where_their_c_depends_on_kconfig(
    component: Path, tmp_path: Path, tool, generator: str
) -> None:
    cmake = tool("cmake")
    tool("ninja" if generator == "Ninja" else "make")
    write_model(tmp_path / "model.pie", 1)
    (tmp_path / "main.c").write_text('#include "model.h"\nint main(void) { return 0; }\n')
    text = REGISTERS_COMPONENTS_ONLY.format(
        component=component, target="esp32p4", config="include(config.cmake)", options=""
    )
    (tmp_path / "CMakeLists.txt").write_text(text)
    generated = tmp_path / "build/pienn/firmware/model/model.c"
    for symbols, anew, shows in CHANGES:
        config = "".join(f"set(CONFIG_{symbol} y)\n" for symbol in symbols.split())
        (tmp_path / "config.cmake").write_text(config)
        where = ["-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DPIENN_PYTHON={sys.executable}"]
        configured = run([cmake, "-G", generator, *where])
        assert configured.returncode == 0, configured.stderr
        for expected in (anew, False):
            built = run([cmake, "--build", str(tmp_path / "build"), "--target", "pienn-firmware-model"])
            assert built.returncode == 0, built.stdout + built.stderr
            assert len(re.findall("PIE-NN: compiling", built.stdout)) == expected, symbols
        assert shows in generated.read_text()
        assert ("model_run_shadow(" in generated.read_text()) == ("SHADOW" in symbols)
