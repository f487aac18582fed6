"""Sentences and tags come out as they stand in the file, in BIO, or one sentence says why not."""

import json
import warnings
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import data
from workbench.data import tagged
from workbench.errors import DataWarning, UserError

SENTENCES = [
    (["Ann", "Lee", f"saw{i}", "Rome"], ["B-PER", "I-PER", "O", "B-LOC"]) for i in range(30)
]
spans = st.lists(
    st.tuples(st.sampled_from(["O", "PER", "LOC"]), st.integers(1, 3)), min_size=1, max_size=6
)


def tags_of(spans, scheme):
    """Tags of runs of tokens; "O" is a run outside of any entity."""
    tags, before = [], "O"
    for kind, length in spans:
        letters = {
            "BIO": ["B", *"I" * (length - 1)],
            "BIOES": ["S"] if length == 1 else ["B", *"I" * (length - 2), "E"],
            "BILOU": ["U"] if length == 1 else ["B", *"I" * (length - 2), "L"],
            "IOB1": ["B" if before == kind else "I", *"I" * (length - 1)],
        }[scheme]
        tags += ["O"] * length if kind == "O" else [f"{letter}-{kind}" for letter in letters]
        before = kind
    return tags


def conll(sentences=SENTENCES, separator="\t", end="\n"):
    return "".join(
        "".join(f"{token}{separator}{tag}{end}" for token, tag in zip(*sentence, strict=True)) + end
        for sentence in sentences
    )


@pytest.fixture
def load(tmp_path):
    """Write a file, load it, and return all its sentences by their first words."""

    def loader(content: str, name="own.conll", **options):
        path = tmp_path / name
        path.write_bytes(content.encode(options.pop("encoding", "utf-8")))
        corpus = data.load(path, **options)
        return pd.concat(data.frame(part).assign(split=name) for name, part in corpus.items())

    return loader


def json_lines(*sentences):
    rows = [{"tokens": tokens, "tags": tags} for tokens, tags in [*SENTENCES, *sentences]]
    return "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (conll(), "own.conll"),
        (conll(separator=" "), "own.txt"),
        (conll(separator=" _ NNP "), "own.bio"),
        (conll(end="\r\n").rstrip(), "own.iob2"),
        ("-DOCSTART- -X- O\n\n" + conll(separator=" ") + "\n# id 7\n\n", "own.conll"),
        (json_lines(), "own.jsonl"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_sentence_is_read_as_it_stands(load, content, name, encoding):
    table = load(content, name, encoding=encoding)
    found = {row.text: (row.tokens, row.tags) for row in table.itertuples()}
    assert found == {" ".join(tokens): (tokens, tags) for tokens, tags in SENTENCES}
    assert table["id"].is_unique
    assert set(table["split"]) == {"train", "validation", "test"}


@given(st.lists(spans, min_size=1, max_size=5))
@settings(deadline=None)
def test_every_scheme_says_the_same_in_BIO(sentences):
    expected = [tags_of(sentence, "BIO") for sentence in sentences]
    entities = sum(tag[0] == "B" for tags in expected for tag in tags)
    for scheme in ("BIO", "BIOES", "BILOU", "IOB1"):
        given_tags = pd.Series([tags_of(sentence, scheme) for sentence in sentences])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if entities == 0:
                with pytest.raises(UserError, match="every tag is O"):
                    tagged.in_bio(given_tags, "'x'")
                continue
            assert tagged.in_bio(given_tags, "'x'") == expected
        assert bool(caught) == (scheme == "IOB1" and expected != list(given_tags))
    assert len(tagged.entities(pd.Series(expected))) == entities


def test_entities_that_begin_with_I_are_counted(load):
    stray = [(["a", "b", f"c{i}"], ["O", "I-LOC", "I-PER"]) for i in range(5)]
    with pytest.warns(DataWarning, match="10 of 70 entities .* begin with I-"):
        table = load(conll([*SENTENCES, *stray]))
    assert ["O", "B-LOC", "B-PER"] in list(table["tags"])


def test_chinese_tokens_make_a_text_without_spaces(load):
    tokens = [*"他到了北京"]
    rows = [([*tokens, str(i)], ["O", "O", "O", "B-LOC", "I-LOC", "O"]) for i in range(20)]
    assert "他到了北京7" in set(load(conll(rows))["text"])


def test_a_folder_keeps_its_splits_and_no_sentence_stands_in_two(tmp_path):
    (tmp_path / "train.txt").write_text(conll(SENTENCES[:20]))
    (tmp_path / "dev.txt").write_text(conll(SENTENCES[15:]))
    with pytest.warns(DataWarning, match="5 training or validation texts"):
        corpus = data.load(tmp_path)
    assert set(corpus["test"]["text"]) == {" ".join(tokens) for tokens, _ in SENTENCES[15:]}
    counts = Counter(text for part in corpus.values() for text in part["text"])
    assert set(counts.values()) == {1}


def test_same_seed_same_splits_and_samples_keep_their_lists(load):
    first, again, other = (load(conll(), seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    in_test = [set(table.loc[table["split"] == "test", "text"]) for table in (first, other)]
    assert in_test[0] != in_test[1]
    drawn = data.sample(first, 7)
    assert len(drawn) == 7
    assert all(isinstance(cell, list) for cell in [*drawn["tokens"], *drawn["tags"]])


def test_the_summary_counts_entities(load):
    counts = data.summary(all=load(conll())).loc["all"]
    assert counts[["rows", "PER", "LOC"]].tolist() == [30, 30, 30]


def test_other_columns_stay(load):
    rows = [{"tokens": t, "tags": g, "domain": "news", "language": "en", "id": f"n{i}"}
            for i, (t, g) in enumerate(SENTENCES)]  # fmt: skip
    table = load("\n".join(map(json.dumps, rows)), "own.jsonl")
    assert set(table["domain"]) == {"news"}
    assert set(table["language"]) == {"en"}
    assert set(table["id"]) == {f"n{i}" for i in range(30)}


# --- bad input: one clear sentence ---------------------------------------------------------------


def refused(load, content, match, name="own.jsonl", **options):
    with pytest.raises(UserError, match=match) as caught:
        load(content, name, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("sentence", "match"),
    [
        ((["a", "b"], ["O"]), r"Sentence 31 of .* \('a b …'\) has 2 tokens and 1 tags"),
        ((["a"], ["PER"]), "has the tag 'PER': write B-TYPE"),
        ((["a"], [3]), "has the tag '3'"),
        ((["a", " "], ["O", "O"]), "has a token that is empty"),
        ((["a", 5], ["O", "O"]), "has a token that is empty or no string"),
        (("a b", "O O"), "has no list of tokens"),
        ((["a"], None), "no list of tags"),
    ],
)
def test_what_does_not_fit_together(load, sentence, match):
    refused(load, json_lines(sentence), match)


def test_sentences_without_tokens_are_counted_and_left_out(load):
    with pytest.warns(DataWarning, match="2 of 32 sentences of .* have no tokens"):
        assert len(load(json_lines(([], []), ([], [])), "own.jsonl")) == 30


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "it is empty"),
        ("-DOCSTART- O\n\n", "it has no rows"),
        ("Some plain text.\n", r"line 1 \('Some plain text.'\) is no token with its tag"),
        (conll() + "alone\n", r"line 151 \('alone'\) is no token with its tag"),
        (conll() + "\tO\n", r"line 151 \('O'\) is no token"),
        (conll() + "word\tPER\n", r"line 151 .* is no token with its tag"),
        ("word\tO\n", "every tag is O"),
        (conll(SENTENCES[:2]), "too few different texts"),
    ],
)
@pytest.mark.parametrize("name", ["own.conll", "own.txt"])
def test_files_that_are_no_conll(load, content, match, name):
    refused(load, content, match, name)


def test_where_labels_are_needed_tags_are_refused(load):
    refused(load, conll(), "each text needs a label: open it in notebook 07", "own.conll",
            requires=("label",))  # fmt: skip


def test_types_that_only_later_splits_have_are_told(tmp_path):
    (tmp_path / "train.conll").write_text(conll(SENTENCES[:20]))
    (tmp_path / "test.conll").write_text(conll([*SENTENCES[20:], (["Zoop"], ["B-PRO"])]))
    with pytest.warns(DataWarning, match="No training sentence of .* of the type PRO"):
        data.load(tmp_path)


def test_wikiann(real_data):
    with pytest.warns(DataWarning, match="stand in a later split"):
        corpus = data.load(real_data / "wikiann_en")
    assert len(corpus["test"]) == 2000
    found = tagged.entities(data.frame(corpus["test"])["tags"]).value_counts().to_dict()
    assert found == {"LOC": 1022, "PER": 929, "ORG": 876}  # as `grep -c B-LOC dev.conll` counts


def test_where_tags_are_needed_labelled_texts_give_way_to_the_bundled_sentences():
    with pytest.warns(DataWarning, match="goes on with the bundled entities"):
        assert "tags" in data.load("reviews", requires=("tags",))["train"].column_names
