"""Named entities on WikiANN (English): ours against plain Trainer, and learning curves.

    python -m benchmarks.entities

Speed is measured in turned order on the same sentences, from their tokens to a trained model; F1
is that of all entities of the development sentences, by seqeval.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import cases

RESULTS = Path(__file__).parent / "results"
SIZES, TIMED, EPOCHS, SEED = (100, 500, 2000, 8000), 1280, 2, 0
LABELS = [f"{begin}-{kind}" for kind in ("LOC", "ORG", "PER") for begin in "BI"] + ["O"]


def sentences(split: str, count: int | None = None) -> tuple[list, list]:
    """Tokens and tags of the first sentences of a split, as they stand in its file."""
    from workbench.data import tagged

    table = tagged.parse((cases.folder() / f"wikiann_en/{split}.conll").read_text())[:count]
    return list(table["tokens"]), list(table["tags"])


def ours(tokens: list, tags: list, epochs: int):
    from workbench import models

    return models.build("tagger", epochs=epochs, seed=SEED).fit(tokens, tags)


def plain(tokens: list, tags: list, epochs: int, **settings):
    """`AutoModelForTokenClassification` and `Trainer` as their documentation has it, by defaults."""
    import transformers

    from workbench.models import encoders

    folder = encoders.locate("minilm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=len(LABELS)
    )
    transformers.set_seed(SEED)
    trainer = transformers.Trainer(
        model, train_dataset=_rows(tokenizer, tokens, tags),
        args=transformers.TrainingArguments(
            tempfile.mkdtemp(), num_train_epochs=epochs, save_strategy="no", report_to="none",
            disable_tqdm=True, logging_strategy="no", seed=SEED, **settings,
        ),
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
    )  # fmt: skip
    trainer.train()
    return trainer, tokenizer


def _rows(tokenizer, tokens: list, tags: list) -> list[dict]:
    rows = []
    for words, given in zip(tokens, tags, strict=True):
        found = tokenizer(words, is_split_into_words=True, truncation=True, max_length=128)
        owners = found.word_ids()
        first = [owner is not None and owner not in owners[:i] for i, owner in enumerate(owners)]
        labels = [LABELS.index(given[o]) if f else -100 for o, f in zip(owners, first, strict=True)]
        rows.append({**found, "labels": labels})
    return rows


def f1_of_plain(trainer, tokenizer, tokens: list, tags: list) -> float:
    from seqeval.metrics import f1_score

    found = trainer.predict(_rows(tokenizer, tokens, tags))
    known = found.label_ids != -100  # `Trainer` may hand the sentences back in another order
    pairs = [
        [
            [LABELS[code] for code in row[is_known]]
            for row, is_known in zip(codes, known, strict=True)
        ]
        for codes in (found.label_ids, found.predictions.argmax(-1))
    ]
    return float(f1_score(*pairs))


def compare() -> dict:
    """F1 after the same epochs on all sentences, and sentences a second on a part of them."""
    some, dev, found = sentences("train", TIMED), sentences("dev"), {"per second": {}}
    for name in ("ours", "plain", "plain", "ours", "ours", "plain"):
        started = time.perf_counter()
        (ours if name == "ours" else plain)(*some, 1)
        rate = TIMED / (time.perf_counter() - started)
        found["per second"].setdefault(name, []).append(round(rate, 1))
        print(name, f"{rate:.1f} sentences a second", flush=True)
    train = sentences("train")
    found["sentences"], found["epochs"] = len(train[0]), EPOCHS
    found["f1"] = {"ours": ours(*train, EPOCHS).score(*dev)}
    print(found["f1"], flush=True)
    # What makes no difference to what is learned, and halves the wait.
    waiting = {"bf16": True, "use_cpu": True, "train_sampling_strategy": "group_by_length"}
    found["f1"]["plain"] = f1_of_plain(*plain(*train, EPOCHS, **waiting), *dev)
    print(found["f1"], flush=True)
    return found


def curves() -> list[dict]:
    """F1 of each kind of tagger by the number of sentences; settings are the defaults."""
    from workbench import models

    dev, rows = sentences("dev"), []
    for n in SIZES:
        tokens, tags = sentences("train", n)
        for name, model in {
            "baseline": models.build("tagger-baseline"),
            "bilstm": models.build("tagger", encoder="bilstm"),
            "frozen": models.build("tagger", strategy="frozen"),
            "full": models.build("tagger", epochs=EPOCHS if n == SIZES[-1] else None),
        }.items():
            started = time.perf_counter()
            model.fit(tokens, tags)
            seconds = round(time.perf_counter() - started, 1)
            rows.append(
                {"model": name, "sentences": n, "f1": model.score(*dev), "seconds": seconds}
            )
            print(rows[-1], flush=True)
    return rows


def write(found: dict) -> None:
    """The numbers as JSON, and the tables made of them."""
    (RESULTS / "entities.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = ["# Named entities", "", f"WikiANN (English), {found['sentences']:,} training sentences,"
             f" 2,000 development sentences, MiniLM, {found['epochs']} epochs, all weights trained."
             " Made by `python -m benchmarks.entities` on two cores.", "",
             "| | entity F1 | sentences a second (each run) |", "| --- | --- | --- |"]  # fmt: skip
    rates = {name: statistics.median(each) for name, each in found["per second"].items()}
    for name, f1 in found["f1"].items():
        runs = ", ".join(map(str, found["per second"][name]))
        lines.append(f"| {name} | {f1:.4f} | {rates[name]:.1f} ({runs}) |")
    lines += [
        "",
        f"Ours is {rates['ours'] / rates['plain']:.1f} times as fast. The F1 of plain is from "
        "a training in bf16 with batches of like length, which takes half of the time.",
        found.get("remark", ""),
        "",
    ]
    if rows := found.get("curves"):
        names = list(dict.fromkeys(row["model"] for row in rows))
        lines += ["| sentences | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
        for n in SIZES:
            cells = {row["model"]: f"{row['f1']:.3f}" for row in rows if row["sentences"] == n}
            lines.append(f"| {n:,} | " + " | ".join(cells.get(name, "–") for name in names) + " |")
    (RESULTS / "entities.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    measured = compare()
    write(measured)
    write(measured | {"curves": curves()})
