"""A card says of a run what its folder holds, and nothing in it runs."""

import pytest

from tests.runs.test_report import EVIL, scored
from workbench import runs
from workbench.runs import cards, standings


@pytest.fixture
def found(tmp_path) -> list[runs.Run]:
    return [scored(tmp_path, name, right) for name, right in ((f"a|b*{EVIL}", 150), ("svm", 199))]


def test_a_card_holds_scores_classes_comparison_limits_and_configuration(found):
    pages = cards.write(standings.test_sets(found))
    assert len(pages) == 2
    text = (found[1].path / "card.md").read_text("utf-8")
    assert text.startswith("# svm: model card\n\nIt was tested on 200 test rows of shop.")
    for line in ("| accuracy | 0.995 | 0.972 to 0.999 |", "| a | 100 | 1.000 | 0.963 to 1.000 |",
                 "| b | 100 | 0.990 | 0.946 to 0.998 |", "| svm | 0.995 | 0.972 to 0.999 | best |",
                 "| settings.model | svm |", "| data.rows.test | 200 |", "Use svm."):  # fmt: skip
        assert line in text, line
    assert "points, p&nbsp;" not in text
    assert "another gives other weights" in text
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == ["Scores", "Comparison", "Known limits", "Configuration"]


def test_a_name_is_text_in_markdown_and_on_the_page(found):
    cards.write(standings.test_sets(found))
    text = (found[0].path / "card.md").read_text("utf-8")
    assert text.startswith(r"# a\|b\*&lt;script&gt;")
    page = (found[0].path / "card.html").read_text("utf-8")
    assert EVIL not in text + page
    assert "<script" not in page
    assert "a|b*&lt;script&gt;alert(1)&lt;/script&gt;: model card" in page
    assert page.count("<table") == 4, "the name has not cut a table"


def test_only_the_wanted_cards_are_written(found):
    assert cards.write(standings.test_sets(found), {found[0].path}) == [found[0].path / "card.html"]
    assert not (found[1].path / "card.md").exists()


def test_what_is_not_known_is_a_limit(tmp_path):
    path = runs.save("bare", metrics={"accuracy": 0.5, "n": 9}, stopped=True, root=tmp_path)
    cards.write(standings.test_sets(runs.list_runs(tmp_path)))
    text = (path / "card.md").read_text("utf-8")
    assert "Its training was stopped before its end." in text
    assert "Where its rows came from was not written down." in text
    assert "| class |" not in text
