"""The generated pages under docs/isa are those of the present tables."""

from pathlib import Path

import pytest

from pienn.isa import load
from pienn.isa.documents import document, show
from pienn.isa.table import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_page_is_up_to_date(target: str, checkout: Path) -> None:
    page = checkout / "docs" / "isa" / f"{target}.md"
    assert page.read_text(encoding="utf-8") == document(load(target)), "run: pienn isa docs -o docs/isa"


@pytest.mark.parametrize("target", TARGETS)
def test_every_instruction_has_a_sentence_an_issue_class_and_a_confidence(target: str) -> None:
    for instruction in load(target).instructions.values():
        assert instruction.description.endswith("."), instruction.mnemonic
        assert instruction.issue_class and instruction.confidence and instruction.extension, (
            instruction.mnemonic
        )
        assert instruction.mnemonic in show(load(target), instruction)
