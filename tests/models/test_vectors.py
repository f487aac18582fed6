import gzip
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UserError
from workbench.models import vectors
from workbench.training import stop_event
from workbench.training.history import History, listening


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
        stop_event.stoppable(stop),
        listening(lambda row: stop.set() if row["epoch"] == 2 else None),
    ):
        stopped = vectors.train(news, size=20, epochs=10, history=history)
    assert len(history) == 2
    again = vectors.train(news, size=20, epochs=10, history=History())
    assert stopped.key_to_index == again.key_to_index
    assert not np.array_equal(stopped.vectors, again.vectors)
    assert np.linalg.norm(stopped.vectors, axis=1).mean() > 0.5, "they have left their start"


def test_words_too_rare_are_named():
    for sentences in ([["one", "two"]], [], [[], []]):
        with pytest.raises(UserError, match="No word occurs 2 times"):
            vectors.train(sentences)


def test_words_beyond_the_ten_thousandth_of_a_sentence_are_trained():
    words = [f"a{i}" for i in range(10_000)] + [f"z{i}" for i in range(12_500)]
    once, often = (
        vectors.train([words, []], size=5, epochs=epochs, min_count=1) for epochs in (1, 4)
    )
    for word in ("a5", "z5", "z12499"):
        assert abs(once[word] - often[word]).max() > 0, f"{word} was not trained"


@pytest.mark.parametrize(
    "sentences",
    [["the good film", "a bad film"], "the good film", [["good"], "bad"], [["good", 1]], [[None]],
     [["good"], [b"bad"]]],
)  # fmt: skip
def test_sentences_are_lists_of_words(sentences):
    with pytest.raises(UserError, match=r"Sentence \d is no list of words"):
        vectors.train(sentences, size=5, epochs=1, min_count=1)


def test_sentences_may_come_from_generators():
    words = ["a", "good", "film"] * 3
    once = vectors.train(((w for w in words) for _ in range(5)), size=5, epochs=2)
    assert np.array_equal(once.vectors, vectors.train([words] * 5, size=5, epochs=2).vectors)


@pytest.mark.parametrize("counts", [True, False])
def test_word2vec_and_glove_files(tmp_path, counts):
    lines = ["book 1 0", "书 0 1"]
    (tmp_path / "v.txt").write_text("\n".join(["2 2"] * counts + lines), encoding="utf-8")
    loaded = vectors.load(tmp_path / "v.txt")
    assert loaded["书"].tolist() == [0, 1]
    loaded.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    assert vectors.load(tmp_path / "v.bin")["book"].tolist() == [1, 0]


def written(path, content: bytes):
    with (gzip.open if path.suffix == ".gz" else open)(path, "wb") as file:
        file.write(content)
    return path


ROWS = b"the 0.1 0.2 0.3\n. . . 0.4 -0.5 6e-1\n1 2 3 .5 .5 .5\nat me@home 0.7 0.8 0.9 \n"
ROWS += "\u3000本\xa0 1 1 1\n".encode() + b"caf\xe9 2 2 2\r\nthe 9 9 9\n"
WORDS = ["the", ". . .", "1 2 3", "at me@home", "\u3000本\xa0", "caf\ufffd"]


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz"])
@pytest.mark.parametrize(
    "first", [b"", b"7 3\n", b"5 3\n", b"\xef\xbb\xbf7 3\r\n", b"\xef\xbb\xbf"]
)
@pytest.mark.parametrize("last", [b"", b"\n", b" \n\n"])
def test_words_with_spaces_broken_letters_and_repeats(tmp_path, name, first, last):
    found = vectors.load(written(tmp_path / name, first + ROWS + last))
    assert found.index_to_key == WORDS
    assert found[". . ."] == pytest.approx([0.4, -0.5, 0.6])
    assert found["the"] == pytest.approx([0.1, 0.2, 0.3]), "of a repeated word the first counts"
    found.save_word2vec_format(str(tmp_path / "again.txt"))
    assert vectors.load(tmp_path / "again.txt").index_to_key == WORDS
    assert found.most_similar("the", topn=1)[0][0] in WORDS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no vectors here\nat all\n", "no line ends with numbers"),
        (b"", "no line ends with numbers"),
        (b"\n\n", "no line ends with numbers"),
        (b"a 1 2 3\nb 1 2 3\nc 1 2\n", "line 3 is not a word and 3 numbers"),
        (b"a 1 2 3\n\nb 1 2 x\nc 1 2 3\n", "line 3 is not a word and 3 numbers"),
        (b"3 2\na 1 2 3\nb 1 2 3\nc 1 2 3", "announces 2 dimensions, its rows 3"),
        (b"2 3\na 1 2\nb 1 2\n", "line 2 is not a word and 3 numbers"),
        (b"a 1 2\nb 1 nan\nc 1 2\n", "line 2 is not a word and 2"),
        (b"4 2\na 1 2\nb 1 2\n", "announces 4, and there are 2"),
    ],
)
def test_files_without_vectors(tmp_path, content, reason):
    with pytest.raises(UserError, match=reason):
        vectors.load(written(tmp_path / "v.txt", content))


@pytest.mark.parametrize("name", ["v.bin", "v.bin.gz", "v.txt.gz"])
@pytest.mark.parametrize("content", [b"no vectors", b"3 2\nab 1234", b"9999999999999 300\nab 1234"])
def test_broken_files_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="holds no word vectors"):
        vectors.load(tmp_path / name)


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        vectors.load(tmp_path / "nowhere.txt")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf")), min_size=1)
        .filter(lambda word: not re.search(r"^ | [-+.\deE]*$", word)),
        st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=2,
    ),
    st.booleans(),
)  # fmt: skip
def test_what_was_saved_is_loaded(tmp_path_factory, table, counts):
    path = tmp_path_factory.mktemp("saved") / "v.txt"
    rows = [f"{word} {' '.join(map(repr, row))}" for word, row in table.items()]
    path.write_text("\n".join([f"{len(table)} 3"] * counts + rows) + "\n", encoding="utf-8")
    found = vectors.load(path)
    assert found.index_to_key == list(table)
    assert np.array_equal(found.vectors, np.array(list(table.values()), np.float32))


def test_distilled_vectors_know_more_of_similarity_than_chance():
    with Path(datapath("wordsim353.tsv")).open(encoding="utf-8") as file:
        rows = [line.lower().split("\t") for line in file if not line.startswith("#")]
    words = sorted({word for row in rows if len(row) == 3 for word in row[:2]})
    score = vectors.similarity_score(vectors.distil(words))
    assert score["covered"] > 0.95
    assert score["spearman"] > 0.5


def test_vectors_without_the_words_of_a_similarity_test():
    strange = KeyedVectors(2)
    strange.add_vectors(["xq"], np.ones((1, 2), np.float32))
    for known in (strange, KeyedVectors(2)):
        with pytest.raises(UserError, match="Fewer than two pairs"):
            vectors.similarity_score(known)


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


@pytest.mark.parametrize("texts", [["?!", "..."], [""]])
def test_texts_without_words_are_zeros(texts):
    mean = vectors.MeanVectors().fit(texts)
    assert mean.transform(texts).tolist() == np.zeros((len(texts), 384)).tolist()
    assert mean.transform(["a good book"]).any() == mean.transform(["?"]).any() == False  # noqa: E712


@pytest.mark.parametrize("texts", [None, "a good book"])
def test_texts_are_a_list(texts):
    mean = vectors.MeanVectors(KeyedVectors(2)).fit(["a good book"])
    with pytest.raises(UserError, match="list of strings"):
        mean.transform(texts)
    with pytest.raises(UserError, match="list of strings"):
        vectors.MeanVectors().fit(texts)
