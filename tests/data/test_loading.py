import json
import warnings

import pandas as pd
import pytest

from workbench import data
from workbench.errors import DataWarning, UserError

GOOD = [(f"number {i} was a joy to read", "good") for i in range(30)]
BAD = [(f"number {i} was a bore to read", "bad") for i in range(30)]


@pytest.fixture
def write(tmp_path):
    """Write rows of (text, label) as a CSV and return its path."""

    def writer(rows=None, columns=("text", "label"), name="own.csv", **options):
        path = tmp_path / name
        pd.DataFrame(GOOD + BAD if rows is None else rows, columns=columns).to_csv(
            path, index=False, **options
        )
        return path

    return writer


def splits(dataset):
    return {name: len(part) for name, part in dataset.items()}


def test_bundled_reviews_have_every_column_and_no_text_in_two_splits():
    corpus = data.load("reviews")
    assert set(corpus["train"].column_names) == {"id", "text", "label", "domain", "language"}
    assert corpus["train"].features["label"].names == ["negative", "positive"]
    train, validation, test = data.frames(corpus)
    texts = pd.concat([train, validation, test])["text"].str.lower()
    assert not texts.duplicated().any()


@pytest.mark.parametrize(
    ("columns", "given"),
    [(("Review", "Sentiment"), {}), (("评论", "标签"), {}),
     (("words", "mood"), {"text_column": "words", "label_column": "mood"})],
)  # fmt: skip
def test_columns_are_found_by_usual_names_or_by_the_given_ones(write, columns, given):
    assert sum(splits(data.load(write(columns=columns), **given)).values()) == 60


def test_a_csv_of_a_person(write):
    """Other column names, three classes, quoted line breaks, a BOM, semicolons."""
    rows = [(f'line one of {i}\nand "two"; so', name) for i in range(40) for name in "abc"]
    rows = [(text + name, name) for text, name in rows]
    path = write(rows, ("Comment", "Category"), sep=";", encoding="utf-8-sig")
    corpus = data.load(path)
    assert corpus["train"].features["label"].names == ["a", "b", "c"]
    assert '\nand "two"; so' in corpus["train"]["text"][0]
    assert {name: len(set(part["label"])) for name, part in corpus.items()} == {
        "train": 3, "validation": 3, "test": 3,
    }  # fmt: skip


def test_a_hundred_thousand_rows_are_read_and_sampled(write):
    rows = [(f"review {i} of the shop", "ab"[i % 2]) for i in range(100_000)]
    train, validation, test = data.frames(data.load(write(rows)), limit=500)
    assert len(train) == len(validation) == len(test) == 500
    assert train["label"].value_counts().to_dict() == {"a": 250, "b": 250}


@pytest.mark.parametrize("kind", ["tsv", "xlsx", "jsonl", "parquet"])
def test_other_formats(tmp_path, kind):
    table, path = pd.DataFrame(GOOD + BAD, columns=["text", "label"]), tmp_path / f"own.{kind}"
    if kind == "tsv":
        table.to_csv(path, sep="\t", index=False)
    elif kind == "xlsx":
        table.to_excel(path, index=False, engine="xlsxwriter")
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    assert sum(splits(data.load(path)).values()) == 60


def test_a_text_NA_is_text_and_a_label_01_is_no_number(write):
    rows = [(f"{t} NA" if i else "NA", "01" if label == "good" else "02")
            for i, (t, label) in enumerate(GOOD + BAD)]  # fmt: skip
    corpus = data.load(write(rows))
    assert corpus["train"].features["label"].names == ["01", "02"]
    assert sum(splits(corpus).values()) == 60


def test_integer_labels_with_a_gap_keep_their_names(tmp_path):
    table = pd.DataFrame(
        [(t, float(y == "good")) for t, y in GOOD + BAD], columns=["text", "label"]
    )
    table.to_parquet(tmp_path / "own.parquet")
    corpus = data.load(tmp_path / "own.parquet")
    assert corpus["train"].features["label"].names == ["0", "1"]


def test_folder_with_train_and_dev_holds_dev_out_as_test(write, tmp_path):
    write(name="train.csv")
    write([("an unseen joy", "good")] * 6 + [("an unseen bore", "bad")] * 6, name="dev.csv")
    corpus = data.load(tmp_path)
    assert set(corpus["test"]["text"]) == {"an unseen joy", "an unseen bore"}
    assert splits(corpus)["train"] + splits(corpus)["validation"] == 60


def test_folders_of_folders_are_domains_with_their_unlabelled_text(tmp_path, write):
    for domain in ("cars", "boats"):
        (tmp_path / domain).mkdir()
        rows = [(f"{domain} {text}", label) for text, label in GOOD + BAD]
        write(rows, name=f"{domain}/train.csv")
        write([(f"{domain} unheard {i}",) for i in range(5)], ("text",), f"{domain}/unlabeled.csv")
    corpus = data.load(tmp_path)
    assert set(corpus["train"]["domain"]) == {"cars", "boats"}
    assert splits(corpus)["unlabeled"] == 10
    assert set(corpus["unlabeled"]["label"]) == {-1}


def test_texts_of_the_test_split_leave_training(tmp_path, write):
    write(name="train.csv")
    write([("Number 3  was a JOY to read", "good")] * 5 + [BAD[4]] * 5, name="test.csv")
    with pytest.warns(DataWarning, match="2 training or validation texts"):
        corpus = data.load(tmp_path)
    assert not {"number 3 was a joy to read", BAD[4][0]} & set(corpus["train"]["text"])


def test_repeated_texts_of_one_file_are_left_out(write):
    with pytest.warns(DataWarning, match="60 repeated texts"):
        assert sum(splits(data.load(write((GOOD + BAD) * 2))).values()) == 60


def test_missing_labels_and_texts_are_counted_and_dropped(write):
    rows = GOOD + BAD + [("no label here", ""), ("nor here", " "), ("", "good")]
    with pytest.warns(DataWarning) as caught:
        corpus = data.load(write(rows))
    messages = " ".join(str(w.message) for w in caught)
    assert "1 of 63 rows" in messages
    assert "2 of 62 rows" in messages
    assert sum(splits(corpus).values()) == 60


def test_rare_classes_are_named_and_dropped(write):
    with pytest.warns(DataWarning, match="are left out with 1 rows: odd"):
        corpus = data.load(write([*GOOD, *BAD, ("one of a kind", "odd")]))
    assert corpus["train"].features["label"].names == ["bad", "good"]


def test_a_source_without_domains_gives_way_to_the_bundled_reviews(write):
    with pytest.warns(DataWarning, match="needs a domain column"):
        corpus = data.load(write(), requires=("domain",))
    assert "books" in corpus["train"]["domain"]


def test_small_domains_still_give_every_split(write):
    rows = [(text, label, f"shop {i}") for i, (text, label) in enumerate(GOOD[:10] + BAD[:10])]
    corpus = data.load(write(rows, ("text", "label", "domain")))
    assert splits(corpus) == {"train": 14, "validation": 2, "test": 4}


def test_every_row_has_an_id_of_its_own(write):
    both = data.load("reviews-en-zh")
    ids = [i for part in both.values() for i in part["id"]]
    assert len(set(ids)) == len(ids) == 3200
    rows = [(text, label, "7") for text, label in GOOD + BAD]
    corpus = data.load(write(rows, ("text", "label", "id")))
    assert len({i for part in corpus.values() for i in part["id"]}) == 60


def test_a_file_without_a_header_loses_no_row_where_columns_are_numbered(write):
    path = write(header=False)
    refused(path, 'looks like a row .* -p TEXT_COLUMN "column 1" -p LABEL_COLUMN "column 2"')
    corpus = data.load(path, "column 1", "column 2")
    assert sum(splits(corpus).values()) == 60
    assert GOOD[0][0] in [text for part in corpus.values() for text in part["text"]]
    with pytest.warns(
        DataWarning, match="looks like a row .* is lost: call the columns 'column 1'"
    ):
        assert sum(splits(data.load(path, *GOOD[0])).values()) == 59
    refused(path, "columns column 1, column 2: name one", text_column="column 1")
    refused(path, "did you mean 'column [12]'", text_column="column 5", label_column="column 2")


def test_classes_get_new_names_and_equal_names_make_one_class(write):
    path = write([(text, str(i % 4)) for i, (text, _) in enumerate(GOOD + BAD)])
    corpus = data.load(path, label_names={"0": "bad", 1: " bad ", "3": ""})
    assert corpus["train"].features["label"].names == ["2", "3", "bad"]
    assert data.frame(corpus["test"]).attrs["label_names"] == {"0": "bad", "1": " bad ", "3": ""}
    refused(path, "no class in .* called '4'; .*Valid: 0, 1, 2, 3", label_names={"4": "good"})


def test_how_many_rows_a_source_has_is_kept(write):
    with pytest.warns(DataWarning, match="2 of 62 rows"):
        corpus = data.load(write([*GOOD, *BAD, ("what", ""), ("who", "")]))
    assert {data.frame(part).attrs["rows_read"] for part in corpus.values()} == {62}


def test_same_seed_same_splits(write):
    path = write()
    ids = [data.load(path, seed=seed)["test"]["id"][:] for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


# --- bad input: one clear sentence ---------------------------------------------------------------


def refused(source, match, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(UserError, match=match) as caught:
            data.load(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", "!")), message


def test_missing_file():
    refused("nowhere/own.csv", "There is no file or folder 'nowhere/own.csv'")


def test_unknown_name_offers_the_nearest():
    refused("review", "did you mean 'reviews'")


def test_directory_without_data(tmp_path):
    (tmp_path / "notes.txt").write_text("no data")
    refused(tmp_path, "holds no data: it needs a train file")


def test_empty_file(tmp_path):
    (tmp_path / "own.csv").write_text("")
    refused(tmp_path / "own.csv", "is empty")


def test_header_without_rows(tmp_path):
    (tmp_path / "own.csv").write_text("text,label\n")
    refused(tmp_path / "own.csv", "has no rows")


def test_no_text_column_lists_what_there_is(write):
    refused(write(columns=("words", "label")), "columns words, label: name one with -p TEXT_COLUMN")


def test_no_label_column(write):
    refused(write(columns=("text", "mood")), "columns text, mood: name one with -p LABEL_COLUMN")


def test_a_given_column_that_is_not_there(write):
    refused(write(), "did you mean 'text'", text_column="texts")


def test_one_class_only(write):
    refused(write(GOOD), r"fewer than two classes .* \(good \(30\)\)")


def test_no_labels_at_all(write):
    refused(write([(text, "") for text, _ in GOOD]), "label column of .* is empty")


def test_a_column_of_numbers_is_no_text(write):
    refused(write([(str(i), label) for i, (_, label) in enumerate(GOOD + BAD)]), "holds no text")


def test_texts_that_are_not_strings(tmp_path):
    lines = [json.dumps({"text": ["a", "list"], "label": "x"})] * 20
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    refused(tmp_path / "own.jsonl", "holds no text")


def test_a_column_of_identifiers_is_no_label(write):
    rows = [(text, f"{label}{i}") for i, (text, label) in enumerate(GOOD + BAD)]
    refused(write(rows), "60 distinct values in 60 rows")


def test_binary_file(tmp_path):
    (tmp_path / "own.csv").write_bytes(b"PK\x03\x04\0\0\0text,label")
    refused(tmp_path / "own.csv", "is a binary file")


def test_broken_parquet_and_jsonl(tmp_path):
    for name in ("own.parquet", "own.jsonl"):
        (tmp_path / name).write_text('{"text": "unfinished')
        refused(tmp_path / name, f"{name}' cannot be read: ")


def test_unknown_ending(tmp_path):
    (tmp_path / "own.docx").write_bytes(b"PK")
    refused(tmp_path / "own.docx", "give a file in .csv")


def test_hub_name_without_a_network():
    refused("hub:imdb", "'imdb' could not be fetched .* bundled one .reviews")


# --- real corpora --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::workbench.errors.DataWarning")
@pytest.mark.parametrize(
    ("name", "classes", "test"), [("sst2", 2, 1821), ("trec", 6, 500), ("amazon", 2, 1200)]
)
def test_public_corpora(real_data, name, classes, test):
    corpus = data.load(real_data / name)
    assert len(corpus["train"].features["label"].names) == classes
    assert len(corpus["test"]) == test


@pytest.mark.filterwarnings("ignore::workbench.errors.DataWarning")
def test_chinese_corpus_with_ten_domains(real_data):
    corpus = data.load(real_data / "zh_shopping" / "reviews.csv")
    assert len(set(corpus["test"]["domain"])) == 10
