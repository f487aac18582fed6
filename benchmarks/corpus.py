"""The numbers of data/README.md, counted in the bundled files: `python -m benchmarks.corpus`."""

import re

import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from workbench import data, models, text

DOMAINS = ("books", "films", "electronics", "kitchen")
LANGUAGES = {"en": ("English", "words"), "zh": ("Chinese", "characters")}
SPLITS, TYPES = ("train", "validation", "test"), ("PER", "LOC", "ORG", "PRO")
RARE = 12  # a trait of fewer texts says little about any label
EMOJI = r"[\U0001F300-\U0001FAFF\u2600-\u27BF]"
TRAITS = {
    "web address": r"https?://|www\.|\b\w+\.(com|org|net)\b",
    "markup": r"</?\w|&\w+;",
    "figure": r"\d",
    "figure of three digits or more": r"\d{3}",
    "two figures": r"\d\D+\d",
    "price": r"[$€£¥￥]|\b(euros?|pounds?|dollars?|quid|cents|pence)\b|\d ?[块元]|块钱",
    "word in capitals": r"\b[A-Z]{3,}\b",
    "begins in lower case": r"^[a-z]",
    "two spaces": r"\S  +\S",
    "no punctuation at the end": r"[^.!?。！？…\"'”’」』)）]$",
    "ends with an exclamation mark": r"[!！]$",
    "ends with a question mark": r"[?？][\"'”’」』]?$",
    "two exclamation marks": r"[!！].*[!！]",
    "two question marks": r"[?？].*[?？]",
    "ellipsis": r"\.\.|…|。。",
    "quotation": r"\"[^\"]+\"|[“「『][^”」』]+[”」』]|(?<![A-Za-z])['‘][^'’]+['’](?![a-z])",
    "emoji": EMOJI,
    "dash": r"[–—]| - ",
    "begins with a sentence of one word": r"^([A-Za-z]+|[\u4e00-\u9fff]{1,2})[.!。！]+(\s|[\u4e00-\u9fff])",
    "six sentences or more": r"([^.!?。！？…]+[.!?。！？…]+){6}",
    "first person": r"\b(I|me|my|mine|we|us|our)\b|[我咱]",
    "second person": r"\b[Yy](ou|our|ours)\b|[你您]",
}  # fmt: skip


def reviews() -> pd.DataFrame:
    """The bundled reviews as they are written, nothing cleaned."""
    return pd.read_csv(data.bundled("data") / "reviews.csv", dtype=str, keep_default_na=False)


def length(texts: pd.Series, language: str) -> pd.Series:
    """Words of English texts, characters of Chinese ones."""
    return texts.str.split().str.len() if language == "en" else texts.str.len()


def surface(texts: pd.Series, language: str) -> dict[str, pd.Series]:
    """What needs no reading: for each trait, which texts have it.

    Every character that is neither letter, figure nor space, the traits by name, and the
    shortest and longest twentieth and tenth.
    """
    marks = sorted({mark for text in texts for mark in text if not mark.isalnum()} - set(" \n"))
    found = {f"contains {mark}": texts.str.contains(mark, regex=False) for mark in marks}
    found |= {trait: texts.map(lambda t, p=re.compile(pattern, re.DOTALL): bool(p.search(t)))
              for trait, pattern in TRAITS.items()}  # fmt: skip
    lengths = length(texts, language)
    for share in (0.05, 0.1):
        found[f"shortest {share:.0%}"] = lengths <= lengths.quantile(share)
        found[f"longest {share:.0%}"] = lengths >= lengths.quantile(1 - share)
    return found


def give_aways(corpus: pd.DataFrame, language: str) -> pd.DataFrame:
    """Share of positive texts among those with a trait, for every trait that is not rare."""
    rows = corpus[corpus["language"] == language]
    positive = rows["label"] == "positive"
    table = [(trait, has.sum(), positive[has].mean())
             for trait, has in surface(rows["text"], language).items() if has.sum() >= RARE]  # fmt: skip
    return pd.DataFrame(table, columns=["trait", "texts", "positive"]).set_index("trait")


def word_counts(corpus: pd.DataFrame, language: str) -> dict[str, float]:
    """Accuracy on the test split of models that count words, trained on the train split."""
    rows = corpus[corpus["language"] == language]
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    return {name: models.build(name).fit(list(train["text"]), train["label"])
            .score(list(test["text"]), test["label"])
            for name in ("naive-bayes", "logistic")}  # fmt: skip


def gap(corpus: pd.DataFrame, language: str = "en") -> pd.DataFrame:
    """Accuracy by domain of the training texts (rows) and of the test texts (columns).

    Within a domain by five-fold cross-validation, across domains on all texts of both.
    """
    by_domain = dict(iter(corpus[corpus["language"] == language].groupby("domain")))
    table = pd.DataFrame(index=DOMAINS, columns=DOMAINS, dtype=float)
    for source in DOMAINS:
        texts, labels = list(by_domain[source]["text"]), by_domain[source]["label"]
        model = models.build("logistic")
        within = cross_val_score(clone(model), texts, labels, cv=5).mean()
        model.fit(texts, labels)
        for target in DOMAINS:
            rows = by_domain[target]
            table.loc[source, target] = (
                within if source == target else model.score(list(rows["text"]), rows["label"])
            )
    return table


def card(corpus: pd.DataFrame) -> list[str]:
    """The lines of the data card that hold numbers."""
    lines = []
    for language, (name, unit) in LANGUAGES.items():
        rows = corpus[corpus["language"] == language]
        lengths, shares = length(rows["text"], language), give_aways(corpus, language)["positive"]
        cells = [name, len(rows), f"{lengths.median():.0f} {unit}",
                 f"{lengths.min()} to {lengths.max()}", f"{shares.min():.0%} to {shares.max():.0%}",
                 *(f"{score:.3f}" for score in word_counts(corpus, language).values())]  # fmt: skip
        lines.append(row(cells))
    table = gap(corpus)
    lines += [row([source, *(f"{score:.3f}" for score in table.loc[source])]) for source in DOMAINS]
    means = {kind: table.where(pairs).stack().mean() for kind, pairs in kinds_of_pairs().items()}
    return [*lines, *(f"{kind}: {mean:.2f}" for kind, mean in means.items())]


def sentences() -> pd.DataFrame:
    """The bundled sentences with entities as they are written; ``names`` are (name, type) pairs."""
    table = pd.read_json(data.bundled("data") / "entities.jsonl", lines=True)
    return table.assign(
        names=[names(*row) for row in zip(table["tokens"], table["tags"], strict=True)]
    )


def names(tokens: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """The entities of a sentence, case-folded, with their types."""
    found = []
    for token, tag in zip(tokens, tags, strict=True):
        if tag[0] == "B":
            found.append(([token], tag[2:]))
        elif tag[0] == "I":
            found[-1][0].append(token)
    return [(" ".join(words).casefold(), kind) for words, kind in found]


def entity_card(corpus: pd.DataFrame) -> list[str]:
    """The lines of the data card that hold numbers of the sentences with entities."""
    lines = []
    for language, (name, _) in LANGUAGES.items():
        rows = corpus[corpus["language"] == language]
        found = rows["names"].explode().dropna()
        kinds, lengths = found.str[1].value_counts(), rows["tokens"].str.len()
        cells = [name, len(rows), *(sum(rows["split"] == split) for split in SPLITS),
                 *(kinds[kind] for kind in TYPES), found.str[0].nunique(),
                 f"{(rows['names'].str.len() == 0).mean():.0%}",
                 f"{lengths.median():.0f} ({lengths.min()} to {lengths.max()})"]  # fmt: skip
        lines.append(row(cells))
    return lines


def bundles() -> pd.DataFrame:
    """The bundled reviews put together by product, each with its summary."""
    return pd.read_csv(data.bundled("data") / "summaries.csv", dtype=str)


def summary_card(corpus: pd.DataFrame) -> list[str]:
    """The lines of the data card that hold numbers of the summaries."""
    lines = []
    for language, (name, unit) in LANGUAGES.items():
        rows = corpus[corpus["language"] == language]
        counts = rows["text"].map(lambda written: len(text.sentences(written)))
        lines.append(row([name, len(rows), rows["text"].str.split("\n").str.len().sum(),
                          f"{counts.median():.0f} ({counts.min()} to {counts.max()})",
                          f"{length(rows['summary'], language).median():.0f} {unit}"]))  # fmt: skip
    return lines


def row(cells: list) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def kinds_of_pairs() -> dict[str, pd.DataFrame]:
    """Which cells of the table of the gap lie within a domain, between near ones, and far ones."""
    group = {domain: domain in ("books", "films") for domain in DOMAINS}
    near = pd.DataFrame({b: [group[a] == group[b] for a in DOMAINS] for b in DOMAINS}, DOMAINS)
    same = pd.DataFrame({b: [a == b for a in DOMAINS] for b in DOMAINS}, DOMAINS)
    return {"Within a domain": same, "between books and films, electronics and kitchen": near & ~same,
            "between these two pairs": ~near}  # fmt: skip


if __name__ == "__main__":
    corpus = reviews()
    print("\n".join(card(corpus) + entity_card(sentences()) + summary_card(bundles())))
    for language, (name, _) in LANGUAGES.items():
        print(f"\n{name}: share of positive texts by traits of the surface\n")
        print(give_aways(corpus, language).sort_values("positive").to_string(
            formatters={"positive": "{:.0%}".format}))  # fmt: skip
