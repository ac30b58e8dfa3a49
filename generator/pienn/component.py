"""Where the component's C files are: beside the generator in a checkout or an installed component."""

from __future__ import annotations

from pathlib import Path

from pienn.errors import PiennError

COMPONENT = Path(__file__).resolve().parents[2]


def component_folder() -> Path:
    """The folder that holds `include/` and `src_ref/`; raises PiennError where the generator stands alone."""
    if not (COMPONENT / "include" / "pienn" / "layers.h").is_file():
        raise PiennError(
            f"{COMPONENT}: include/pienn/layers.h is missing: install the generator from the component's folder"
        )
    return COMPONENT
