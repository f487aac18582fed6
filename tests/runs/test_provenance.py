import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import data, runs

ROWS = st.lists(st.tuples(st.text(), st.sampled_from(["good", "bad"])), min_size=1)


def test_data_are_described_by_what_loads_them_again(tmp_path):
    corpus = data.load("reviews", seed=3)
    train, validation, _ = data.frames(corpus, limit=40, seed=5)
    described = runs.describe_data(train, validation)
    assert described["rows"] == {"train": 40, "validation": 40}
    assert (described["source"], described["seed"]) == ("reviews", 3)
    assert (described["limit"], described["sample_seed"]) == (40, 5)
    again = data.frames(data.load("reviews", seed=3), limit=40, seed=5)
    assert runs.describe_data(*again[:2]) == described
    assert runs.describe_data(*again)["digest"] != described["digest"]
    # What is noted of a frame hinders nothing that is done with it.
    train.to_parquet(tmp_path / "train.parquet")
    pd.testing.assert_frame_equal(train, pd.read_parquet(tmp_path / "train.parquet"))
    few = corpus["train"].filter(lambda row: row["domain"] == "books")
    assert runs.describe_data(data.frame(few))["source"] == "reviews"


def test_a_file_is_described_by_its_full_path(tmp_path, monkeypatch):
    rows = [(f"a joy {i}", "good") for i in range(20)] + [(f"a bore {i}", "bad") for i in range(20)]
    pd.DataFrame(rows, columns=["words", "mood"]).to_csv(tmp_path / "own.csv", index=False)
    monkeypatch.chdir(tmp_path)
    train, *_ = data.frames(data.load("own.csv", "words", "mood"))
    described = runs.describe_data(train)
    assert described["source"] == str(tmp_path / "own.csv")
    assert (described["text_column"], described["label_column"]) == ("words", "mood")


@given(ROWS, st.randoms())
def test_the_digest_tells_other_rows_and_not_another_order(rows, random):
    table = pd.DataFrame(rows, columns=["text", "label"]).assign(id=range(len(rows)))
    described = runs.describe_data(table)
    assert described["source"] == "unknown"
    order = random.sample(range(len(rows)), len(rows))
    assert runs.describe_data(table.iloc[order]) == described
    other = table.assign(text=table["text"].where(table.index > 0, table["text"] + "!"))
    assert runs.describe_data(other)["digest"] != described["digest"]


@pytest.mark.parametrize("labels", [["a", "b"], [1, 0], [1.0, None], [True, False]])
def test_a_frame_of_somebody_s_own_needs_no_ids(labels):
    described = runs.describe_data(pd.DataFrame({"text": ["x", "y"], "label": labels}))
    assert described["rows"] == {"train": 2}
