"""What the README and notebooks say of measurements is what the committed results say."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from benchmarks import adaptation, few_labels
from workbench import data, evaluate, models

ROOT = Path(__file__).parent.parent
LANGUAGES = json.loads((ROOT / "benchmarks" / "results" / "languages.json").read_text())["runs"]
PLAIN = (ROOT / "README.md").read_text(encoding="utf-8")
README = " ".join(PLAIN.split())
ROWS = few_labels.read(few_labels.RESULTS)
MEANS = pd.DataFrame(ROWS).groupby(["set", "labels", "method"])["accuracy"].mean().unstack("method")


def test_the_table_of_few_labels_is_made_of_its_rows():
    assert few_labels.table(ROWS) == few_labels.RESULTS.with_suffix(".md").read_text()


@pytest.mark.parametrize("name", few_labels.SETS)
@pytest.mark.parametrize("labels", [16, 64])
def test_contrastive_training_has_the_best_mean_with_few_labels(name, labels):
    assert MEANS.loc[(name, labels)].idxmax() == "contrastive"


@pytest.mark.parametrize("other", ["naive-bayes", "full, 3 epochs"])
def test_with_64_labels_it_is_ahead_by_more_than_eight_points(other):
    mean, low, _ = few_labels.difference(ROWS, "sst2", 64, "contrastive", other)
    assert low > 0
    assert mean > 0.08


def test_the_numbers_in_the_readme_are_those_of_the_rows():
    at_64 = MEANS.loc[("sst2", 64)]
    assert (
        f"{at_64['contrastive']:.2f} on SST-2, where `full` has {at_64['full']:.2f} and naive "
        f"Bayes {at_64['naive-bayes']:.2f}"
    ) in README


@pytest.mark.parametrize("tested", ["zh", "zh_shopping"])
def test_adapters_carry_more_from_english_to_chinese_than_training_all(tested):
    """As notebook 05 says."""
    rows = pd.DataFrame(LANGUAGES).query("trained == 'en'").groupby("method")[tested]
    lowest, highest = rows.min(), rows.max()
    assert lowest["multilingual, adapters"] > highest["multilingual, fine-tuned"]


def test_what_the_page_says_of_sweeps_was_measured():
    found = json.loads((ROOT / "benchmarks/results/sweeps.json").read_text())
    page = (ROOT / "docs/sweeps.md").read_text()
    for engine in ("processes", "ray"):
        times = found["times"][f"60 small runs, {engine}"]
        assert times["same"]
        assert f"{times['added a run']} s" in page
        assert f"{times['until the first run']} s until the first" in page
    for killed in found["kills"].values():
        assert (killed["runs"], killed["same"]) == (60, True)
    thousand = found["thousand"]
    for name in ("listed", "compared", "reported", "MB on the disk"):
        assert str(thousand[name]) in page
    assert f"{thousand['files']:,} files" in page
    assert thousand["listed"] + thousand["compared"] + thousand["reported"] < 60


def test_the_table_of_domain_adaptation_is_made_of_its_rows():
    rows = adaptation.read()
    assert adaptation.table(rows) == adaptation.RESULTS.with_suffix(".md").read_text()
    assert adaptation.means(rows) == adaptation.MEANS.read_text()


FINE_TUNED = pd.DataFrame(adaptation.read()).query("vectors == 'fine-tuned'")
OF_PAIRS = FINE_TUNED.groupby(["method", "source", "target"])["accuracy"].mean().unstack("method")
TAUGHT = "self-training (taught by multilingual x 3, soft labels, encoder of reviews)"


def test_what_the_docstrings_say_of_fine_tuned_adaptation():
    dann = OF_PAIRS["dann"].dropna()
    assert len(dann) == 10
    assert sum(dann < 0.7) == 5
    assert OF_PAIRS["cdan"].min() > 0.8
    apart = (OF_PAIRS["udalm"] - OF_PAIRS["source-only"]).dropna()
    assert len(apart) == 4
    assert -0.015 < apart.mean() < 0


def test_a_larger_teacher_wins_what_the_readme_says():
    plain, taught = OF_PAIRS["source-only"], OF_PAIRS[TAUGHT]
    assert len(taught.dropna()) == 12
    assert (taught > plain).all(), "notebook 05 says so"
    said = f"it reaches {taught.mean():.3f} where `source-only` has {plain.mean():.3f}"
    assert f"{said}, and is ahead on 12 of 12" in README
    rows = pd.DataFrame(adaptation.read()).query("vectors in ('frozen', 'frozen, multilingual')")
    frozen = rows.groupby("method")["accuracy"].mean()
    said = f"`multilingual` has {frozen['multilingual']:.3f} there, and the frozen `minilm`"
    assert f"{said} {frozen['minilm']:.3f}" in README
    points = f"{100 * (taught - plain).mean():.1f} points above `SourceOnly`"
    assert points in type(models.build("self-training")).__doc__
    assert stats.wilcoxon(taught - plain).pvalue < 0.05
    assert OF_PAIRS.loc[:, OF_PAIRS.notna().all()].mean().idxmax() in (TAUGHT, "chosen (oracle)")


def test_the_readme_s_lines_on_predictions_run(capsys):
    code = next(each for each in re.findall(r"```python\n(.+?)```", PLAIN, re.DOTALL)
                if "evaluate.slices" in each)  # fmt: skip
    train, _, test = data.frames(data.load("reviews"), limit=300)
    model = models.build("logistic").fit(list(train.text), list(train.label))
    given = {"data": data, "models": models, "evaluate": evaluate, "model": model}
    exec(code, given | {"train": train, "test": test})
    assert "p_adjusted" in capsys.readouterr().out
