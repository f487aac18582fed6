import json
import re
import shlex
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import arguments, cli, data, evaluation, models, runs
from workbench.runs import lesson, notebooks, parameters

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


def test_sentences_that_were_tagged_are_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    lines = [f"Ada B-PER\nmet O\nguest{i} O\n" for i in range(40)]
    (tmp_path / "own.conll").write_text("\n".join(lines), encoding="utf-8")
    test = data.frames(data.load(str(tmp_path / "own.conll")))[2]
    tagger = SimpleNamespace(predict=lambda sentences: [["O"] * len(s) for s in sentences])
    path = lesson.start("07_x", "smoke").record("none", evaluation.evaluate_tags(tagger, test))
    run = runs.load(path)
    assert run.info["data"] == runs.describe_data(test=test)
    assert runs.obstacles(run) == []
    (tmp_path / "own.conll").write_text("\n".join(lines[1:]), encoding="utf-8")
    assert "gives other rows" in runs.obstacles(run)[0]


@pytest.mark.parametrize("labels", [["a", "b"], [1, 0], [1.0, None], [True, False]])
def test_a_frame_of_somebody_s_own_needs_no_ids(labels):
    described = runs.describe_data(pd.DataFrame({"text": ["x", "y"], "label": labels}))
    assert described["rows"] == {"train": 2}


# --- the call that makes a run again --------------------------------------------------------------


def trained(name, train, validation=None, **settings):
    """A model and the run of its training, as a panel saves it."""
    model = models.build(name, **settings).fit(list(train["text"]), list(train["label"]))
    described = runs.describe_data(train, validation)
    return model, runs.load(
        runs.save("a run", settings=models.describe(model), data=described, seconds=1.0)
    )


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def table(tmp_path):
    """A function that writes a file of 60 rows and returns its path."""

    def write(word="joy", name='o\'wn "file".csv'):
        rows = [(f"number {i} was a {w}", w) for i in range(30) for w in (word, "bore")]
        pd.DataFrame(rows, columns=["words", "mood"]).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "settings"),
    [("svm", {"C": 2.0, "seed": 4}), ("majority", {}),
     ("cnn", {"epochs": 1, "hidden": 8, "size": 8, "class_weight": "balanced"})],
)  # fmt: skip
@pytest.mark.parametrize("limit", [None, 20])
def test_the_lines_of_python_make_the_same_model(table, name, settings, limit):
    load = {"text_column": "words", "label_column": "mood", "seed": 2}
    train, _, test = data.frames(data.load(table(), **load), limit=limit, seed=3)
    model, run = trained(name, train, **settings)
    again = {}
    exec(runs.repeat(run), again)
    assert again["train"].equals(train)
    expected = model.predict_proba(list(test["text"]))
    assert (again["model"].predict_proba(list(test["text"])) == expected).all()
    assert runs.obstacles(run) == []


def test_defaults_are_left_out_and_validation_is_named(reviews, checkpoint):
    train, validation, _ = (part[:20] for part in reviews)
    folder = str(checkpoint("bert"))
    _, run = trained(folder, train, validation, epochs=1, strategy="gradual", max_length=16)
    model, fit = runs.repeat(run).splitlines()[-2:]
    assert model == (
        f"model = models.build({folder!r}, epochs=1, max_length=16, strategy='gradual')"
    )
    assert 'validation=(list(validation["text"]), list(validation["label"])))' in fit
    assert "it has changed since, or rows were chosen" in runs.obstacles(run)[0]  # the first 20


def test_what_cannot_be_repeated_is_said(table, tmp_path):
    path = table()
    train, _, _ = data.frames(data.load(path, "words", "mood"))
    _, run = trained("svm", train)
    table("feast")
    (changed,) = runs.obstacles(run)
    assert changed.startswith(f"'{path}' gives other rows than the run had")
    path.unlink()
    (gone,) = runs.obstacles(run)
    assert gone.startswith("Its data cannot be read: There is no file or folder")
    _, of_own = trained("svm", pd.DataFrame({"text": ["x", "y"] * 9, "label": ["a", "b"] * 9}))
    assert "a table of 18 rows that was in memory" in runs.repeat(of_own)
    assert "table in memory" in runs.obstacles(of_own)[0]
    stopped = runs.load(runs.save("m", stopped=True, data=run.info["data"]))
    stopped.info["versions"]["torch"] = "1.0"
    sentences = " ".join(runs.obstacles(stopped))
    assert "stopped before its end" in sentences
    assert "other versions: torch 1.0 (here 2.13.0" in sentences


def test_adaptation_names_the_texts_that_are_missing():
    settings = {"model": "coral", "encoder": "minilm", "regularization": 0.2}
    described = {"source": "reviews", "rows": {"train": 9}, "digest": ""}
    text = runs.repeat(runs.load(runs.save("m", settings=settings, data=described)))
    assert "models.build('coral', regularization=0.2)" in text
    assert "# unlabeled: the texts of the target domain, which are not kept" in text
    assert "unlabeled=unlabeled)" in text


def test_a_notebook_is_repeated_by_a_command(table, reviews, monkeypatch):
    path, namespace = table(), {"EPOCHS": 2.0, "MODEL": "minilm", "STRATEGY": "full", "other": 1}
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns=namespace))
    train, _, test = data.frames(data.load(path, "words", "mood", seed=3), seed=3)
    model = models.build("naive-bayes").fit(list(train["text"]), list(train["label"]))
    work = lesson.start("04_bert_finetuning", "smoke", 3)
    run = runs.load(work.record("nb", evaluation.evaluate(model, test), model=model))
    assert run.info["settings"]["model"] == "naive-bayes"
    assert "other" not in run.info["parameters"]
    words = shlex.split(runs.repeat(run))
    assert words[:3] == ["workbench", "run", "04_bert_finetuning"]
    args = arguments.parse(words[1:], cli.COMMANDS)
    assert (args.data, args.profile, args.seed, args.model) == (str(path), "smoke", "3", None)
    given = {"DATA": args.data, "PROFILE": args.profile, "SEED": args.seed, **dict(args.more)}
    (chosen,) = parameters.check(notebooks.resolve(args.names), given).values()
    assert chosen == {"DATA": str(path), "PROFILE": "smoke", "SEED": 3, "EPOCHS": 2.0,
                      "TEXT_COLUMN": "words", "LABEL_COLUMN": "mood"}  # fmt: skip
    assert runs.obstacles(run) == []
    table("feast")
    assert "gives other rows" in runs.obstacles(run)[0]


@pytest.mark.parametrize("info", [{"name": "m"}, {"name": "m", "notebook": "my_own"}])
def test_a_run_of_before_is_shown_too(tmp_path, info, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps(info))
    (tmp_path / "old" / "metrics.json").write_text("{}")
    assert cli.main(["show", str(tmp_path / "old")]) == 0
    out = capsys.readouterr().out
    assert ("workbench run my_own" in out) == ("notebook" in info)
    assert "where that is from is not known" in out


def test_show_finds_a_run_by_its_name_and_prints_the_call(reviews, capsys):
    _, run = trained("svm", reviews[0], C=3.0)
    for name in ("a run", run.path.name, str(run.path)):
        assert cli.main(["show", name]) == 0
        out = capsys.readouterr().out
        assert re.search(r"^settings\.C +3\.0$", out, re.MULTILINE)
        assert re.search(r"^data\.rows\.train +960$", out, re.MULTILINE)
        assert "model = models.build('svm', C=3.0)" in out
    assert cli.main(["show", "a ran"]) == 2
    assert "did you mean 'a run'?" in capsys.readouterr().err


def test_only_what_differs_is_a_difference(reviews):
    train, validation, _ = reviews
    _, a = trained("svm", train)
    _, b = trained("svm", train.assign(text=train["text"] + "!"), validation, C=2.0)
    found = runs.differences(a, runs.annotate(b, name="other", notes="words"))
    assert found["A"]["settings.C"] == 1.0
    assert found["B"]["settings.C"] == 2.0
    assert set(found.index) == {"settings.C", "data.digest", "data.rows.validation"}
    assert runs.differences(a, a).empty
