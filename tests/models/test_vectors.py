import threading
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from workbench.errors import UserError
from workbench.models import vectors
from workbench.training import stopping
from workbench.training.history import History


@pytest.fixture(scope="module")
def news():
    with Path(datapath("lee_background.cor")).open(encoding="utf-8") as file:
        return [line.split() for line in file]


def test_training_lowers_the_loss_and_repeats_with_its_seed(news):
    history = History()
    first = vectors.train(news, size=20, epochs=4, seed=3, history=history)
    again = vectors.train(news, size=20, epochs=4, seed=3)
    losses = history.column("loss")[1]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True), "each row is the loss of its own epoch"
    assert losses[-1] < 0.9 * losses[0]
    assert np.array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, vectors.train(news, size=20, epochs=4, seed=4).vectors)


def test_stopped_after_an_epoch_it_keeps_what_it_has_learned(news):
    stop, history = threading.Event(), History()
    with (
        stopping.stoppable(stop),
        history.listening(lambda row: stop.set() if row["epoch"] == 2 else None),
    ):
        stopped = vectors.train(news, size=20, epochs=10, history=history)
    assert len(history) == 2
    again = vectors.train(news, size=20, epochs=10, history=History())
    assert stopped.key_to_index == again.key_to_index
    assert not np.array_equal(stopped.vectors, again.vectors)
    assert np.linalg.norm(stopped.vectors, axis=1).mean() > 0.5, "they have left their start"


def test_words_too_rare_are_told():
    with pytest.raises(UserError, match="No word occurs 2 times"):
        vectors.train([["one", "two"]])


@pytest.mark.parametrize("counts", [True, False])
def test_word2vec_and_glove_files(tmp_path, counts):
    lines = ["book 1 0", "书 0 1"]
    (tmp_path / "v.txt").write_text("\n".join(["2 2"] * counts + lines), encoding="utf-8")
    loaded = vectors.load(tmp_path / "v.txt")
    assert loaded["书"].tolist() == [0, 1]
    loaded.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    assert vectors.load(tmp_path / "v.bin")["book"].tolist() == [1, 0]


def test_files_without_vectors(tmp_path):
    (tmp_path / "v.txt").write_text("no vectors here\nat all\n")
    for path in (tmp_path / "v.txt", tmp_path / "nowhere.txt"):
        with pytest.raises(UserError):
            vectors.load(path)


def test_distilled_vectors_know_more_of_similarity_than_chance():
    with Path(datapath("wordsim353.tsv")).open(encoding="utf-8") as file:
        rows = [line.lower().split("\t") for line in file if not line.startswith("#")]
    words = sorted({word for row in rows if len(row) == 3 for word in row[:2]})
    score = vectors.similarity_score(vectors.distil(words))
    assert score["covered"] > 0.95
    assert score["spearman"] > 0.5


def test_unknown_gold():
    with pytest.raises(UserError, match="did you mean 'simlex999'"):
        vectors.similarity_score(None, "simlex")


def test_aligning_undoes_a_rotation():
    rng = np.random.default_rng(0)
    names = [f"w{i}" for i in range(30)]
    target, source = KeyedVectors(5), KeyedVectors(5)
    matrix = rng.normal(size=(30, 5)).astype(np.float32)
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    target.add_vectors(names, matrix)
    source.add_vectors([n.upper() for n in names], matrix @ rotation.astype(np.float32))
    pairs = [(n.upper(), n) for n in names[:10]]
    aligned = vectors.align(source, target, [*pairs, pairs[0]])  # a dictionary may repeat a pair
    assert all(target.similar_by_vector(aligned[n.upper()], topn=1)[0][0] == n for n in names[10:])
    with pytest.raises(UserError, match="two word pairs"):
        vectors.align(source, target, [("nothing", "w1")])


def test_mean_vectors_average_known_words():
    known = KeyedVectors(2)
    known.add_vectors(["good", "book"], np.array([[2, 0], [0, 4]], np.float32))
    rows = vectors.MeanVectors(known).fit([]).transform(["A good book!", "none", "good"])
    assert rows.tolist() == [[1, 2], [0, 0], [2, 0]]
