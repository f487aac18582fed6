"""The notebooks on a corpus in another script, and on very many classes."""

import nbformat

from tests import outputs
from tests.sequence.helpers import complaints, execute, many_classes
from workbench import runs


def test_a_chinese_corpus_goes_through(real_data, tmp_path):
    """The other corpora are those on which the browser tests run all cells."""
    out, data = tmp_path / "out", real_data / "zh_shopping" / "reviews.csv"
    more = ["-p", "LARGE_TEXT", str(real_data / "wikitext2")]
    results = execute(out, "02", "05", "--data", str(data), *more)
    assert len(results["notebooks"]) == 2
    assert "word2vec, wikitext2" in outputs.printed(out, "02_word2vec")


def test_a_report_of_a_hundred_and_fifty_classes(tmp_path):
    """Its pages and cards; `test_again` takes the other notebooks through as many."""
    out = tmp_path / "out"
    execute(out, "01", "--data", str(many_classes(tmp_path, 150, 1)))
    written = complaints(nbformat.read(out / "01_preprocessing.ipynb", as_version=4).cells)
    assert not written, written[0][:300]
    (run,) = (run for run in runs.list_runs(out / "runs") if run.name == "naive-bayes")
    assert run.predictions().filter(regex="^p_").shape[1] == 150
