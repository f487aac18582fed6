"""What is measured: each function does one thing once and returns its numbers."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

MAX_LENGTH = {"sst2": 128, "books": 256}
FILES = {"sst2": "sst2/train.csv", "books": "amazon/books/train.csv"}


def folder() -> Path:
    """Where the public corpora are."""
    given = os.environ.get("WORKBENCH_REAL_DATA")
    return Path(given or Path(__file__).parents[2] / "shared" / "data")


def texts(corpus: str, count: int | None = None, split: str | None = None):
    """Texts of a corpus, a fixed draw, and their labels where there are any."""
    path = folder() / FILES[corpus]
    table = pd.read_csv(path.with_name(f"{split}.csv") if split else path)
    table = table.sample(min(count or len(table), len(table)), random_state=0)
    labels = table["label"].astype(str).tolist() if "label" in table else None
    return [str(t) for t in table["text"]], labels


def _rate(count: int, tokens: int, started: float) -> dict:
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "per second": count / seconds,
        "tokens per second": tokens / seconds,
    }


# --- training -----------------------------------------------------------------------------------


def train_ours(corpus: str, count: int, **settings) -> dict:
    from workbench.models.encoder_classifier import TextClassifier

    # 32 is what the whole of either corpus gets by default; of less, it would be less.
    given = {"epochs": 1, "max_length": MAX_LENGTH[corpus], "batch_size": 32, **settings}
    model = TextClassifier(**given)
    some, labels = texts(corpus, count)
    model.fit(some[:16], labels[:16])  # imports
    started = time.perf_counter()
    model.fit(some, labels)
    return _rate(len(some) * model.epochs, model.training_info_["tokens"] * model.epochs, started)


def train_plain(corpus: str, count: int, padding=False, batch_size: int = 8) -> dict:
    trainer, rows = plain_trainer(*texts(corpus, 16), corpus, padding, batch_size, epochs=1)
    trainer.train()
    some, labels = texts(corpus, count)
    started = time.perf_counter()
    trainer, rows = plain_trainer(some, labels, corpus, padding, batch_size, epochs=1)
    trainer.train()
    return _rate(len(rows), sum(sum(r["attention_mask"]) for r in rows), started)


def plain_trainer(some, labels, corpus, padding, batch_size, epochs, rate=5e-5, seed=42):
    """`Trainer` as its documentation introduces it."""
    import transformers

    from workbench.models import encoders

    transformers.set_seed(seed)
    tokenizer = encoders.tokenizer("minilm")
    classes = sorted(set(labels))
    model = encoders.load("minilm", "SequenceClassification", num_labels=len(classes))
    found = tokenizer(some, truncation=True, max_length=MAX_LENGTH[corpus], padding=padding)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": classes.index(label)}
        for ids, mask, label in zip(
            found["input_ids"], found["attention_mask"], labels, strict=True
        )
    ]
    arguments = transformers.TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=epochs, per_device_train_batch_size=batch_size,
        learning_rate=rate, report_to="none", save_strategy="no", disable_tqdm=True, seed=seed,
        logging_strategy="no", dataloader_pin_memory=False,
    )  # fmt: skip
    collator = transformers.DataCollatorWithPadding(tokenizer)
    return transformers.Trainer(model, arguments, collator, rows), rows


def _reviews(count: int):
    from workbench import data

    table = data.frames(data.load("reviews"), count)[0]
    return table["text"].tolist(), table["label"].tolist()


def multilingual_ours(count: int) -> dict:
    from workbench.models.encoder_classifier import TextClassifier

    model = TextClassifier("multilingual", epochs=1, max_length=96, batch_size=16)
    some, labels = _reviews(count)
    model.fit(some[:16], labels[:16])  # imports
    started = time.perf_counter()
    model.fit(some, labels)
    return _rate(count, model.training_info_["tokens"], started)


def multilingual_loop(count: int) -> dict:
    """A loop as tutorials have it: fp32, every parameter trained, batches as they come."""
    import torch

    from workbench.models import encoders

    some, labels = _reviews(count)
    targets = torch.tensor([label == "positive" for label in labels]).long()
    tokenizer = encoders.tokenizer("multilingual")
    started, tokens = time.perf_counter(), 0
    model = encoders.load("multilingual", "SequenceClassification", num_labels=2)
    optimizer = torch.optim.AdamW(model.requires_grad_(True).train().parameters(), lr=5e-5)
    for i in torch.randperm(count).split(16):
        batch = tokenizer([f"query: {some[j]}" for j in i], padding=True, truncation=True,
                          max_length=96, return_tensors="pt")  # fmt: skip
        torch.nn.functional.cross_entropy(model(**batch).logits, targets[i]).backward()
        optimizer.step()
        optimizer.zero_grad()
        tokens += int(batch["attention_mask"].sum())
    return _rate(count, tokens, started)


# --- encoding -----------------------------------------------------------------------------------


def encode_ours(corpus: str, count: int) -> dict:
    from workbench.models import encoders

    some, _ = texts(corpus, count)
    encoders.encode(some[:8], max_length=256)
    started = time.perf_counter()
    vectors = encoders.encode(some, max_length=256)
    found = _rate(len(some), 0, started)
    check = some[:200]
    theirs = _sentence_transformer().encode(check)
    return found | {"lowest cosine": float((vectors[:200] * theirs).sum(1).min())}


def encode_theirs(corpus: str, count: int) -> dict:
    some, _ = texts(corpus, count)
    model = _sentence_transformer()
    model.encode(some[:8])
    started = time.perf_counter()
    model.encode(some)
    return _rate(len(some), 0, started)


def _sentence_transformer():
    from sentence_transformers import SentenceTransformer

    from workbench.models import encoders

    return SentenceTransformer(encoders.locate("minilm"), device="cpu")


# --- word vectors and the perceptron ------------------------------------------------------------


def _sentences():
    from workbench.data import text

    return [
        text.tokenize(each) for each in texts("books")[0] + texts("books", split="unlabeled")[0]
    ]


def word2vec_ours() -> dict:
    from workbench.models import vectors

    sentences = _sentences()
    started = time.perf_counter()
    vectors.train(sentences, epochs=3)
    return _rate(3 * sum(map(len, sentences)), 0, started)


def word2vec_theirs() -> dict:
    from gensim.models import Word2Vec

    sentences = _sentences()
    started = time.perf_counter()
    Word2Vec(sentences, vector_size=100, window=5, sg=1, negative=5, min_count=2, seed=0,
             workers=1, epochs=3)  # fmt: skip
    return _rate(3 * sum(map(len, sentences)), 0, started)


def perceptron_ours() -> dict:
    from workbench import models

    return _fit(models.build("perceptron"))


def perceptron_theirs() -> dict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Perceptron
    from sklearn.pipeline import make_pipeline

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return _fit(make_pipeline(vectorizer, Perceptron(max_iter=20, tol=None)))


def _fit(model) -> dict:
    some, labels = texts("sst2")
    started = time.perf_counter()
    model.fit(some, labels)
    found = _rate(len(some), 0, started)
    others, truth = texts("sst2", split="test")
    return found | {"accuracy": float(np.mean(model.predict(others) == np.array(truth)))}


# --- growth and the machine ---------------------------------------------------------------------


def growth(count: int) -> dict:
    from workbench.models.encoder_classifier import TextClassifier

    some, labels = texts("sst2")
    times = -(-count // len(some))
    some, labels = (some * times)[:count], (labels * times)[:count]
    model = TextClassifier(epochs=1, max_length=8, batch_size=32)
    model.fit(some[:64], labels[:64])
    started = time.perf_counter()
    model.fit(some, labels)
    return _rate(count, model.training_info_["tokens"], started)


def matrix_products(kind: str) -> dict:
    """GFLOP/s at the shape of this encoder's largest layer."""
    import torch

    a = torch.randn(1024, 384).to(getattr(torch, kind))
    b = torch.randn(1536, 384).to(getattr(torch, kind))
    for _ in range(10):
        torch.nn.functional.linear(a, b)
    started = time.perf_counter()
    for _ in range(200):
        torch.nn.functional.linear(a, b)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "per second": 200 * 2 * 1024 * 384 * 1536 / seconds / 1e9}


# --- the panel ----------------------------------------------------------------------------------


def panel(watched: bool) -> dict:
    """Fine-tuning in a kernel, with a panel that redraws 2,000 points, or without one."""
    from jupyter_client.manager import start_new_kernel

    code = f"from benchmarks import cases; print(cases.fit_in_kernel({watched}))"
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(Path(__file__).parents[1]))
    try:
        printed = []
        client.execute_interactive(
            code, timeout=600,
            output_hook=lambda m: printed.append(m["content"].get("text", "")),
        )  # fmt: skip
        seconds = float("".join(printed).split()[-1])
    finally:
        manager.shutdown_kernel(now=True)
    return {"seconds": seconds, "per second": 1280 / seconds}


def fit_in_kernel(watched: bool) -> float:
    """Seconds of one `fit`; the curve of 2,000 points that is drawn beside it stands for any.

    The second of two trainings counts: the first of a thread finds no memory that is warm.
    """
    from workbench.models.encoder_classifier import TextClassifier
    from workbench.training.history import History
    from workbench.widgets import TrainingPanel, base

    some, labels = texts("sst2", 1280)
    model = TextClassifier(epochs=1)
    model.fit(some[:16], labels[:16])  # imports
    seconds = []

    def work():
        history = History()
        for step in range(1, 2001):
            history.log(step=step, steps=2000, mlm_loss=1 / step)
        started = time.perf_counter()
        model.fit(some, labels)
        seconds.append(time.perf_counter() - started)
        return model

    base.live = lambda: True
    shown = TrainingPanel(work)
    if watched:
        shown._ipython_display_()
    for _ in range(2):
        shown.run() if watched else work()
    return seconds[-1]


CASES = {
    "machine": {
        "products/float32": (matrix_products, {"kind": "float32"}),
        "products/bfloat16": (matrix_products, {"kind": "bfloat16"}),
    },
    "train": {
        "train/ours/sst2": (train_ours, {"corpus": "sst2", "count": 1280}),
        "train/ours-fp32/sst2": (train_ours, {"corpus": "sst2", "count": 800, "precision": "fp32"}),
        "train/trainer/sst2": (train_plain, {"corpus": "sst2", "count": 320}),
        "train/trainer-32/sst2": (train_plain, {"corpus": "sst2", "count": 480, "batch_size": 32}),
        "train/textbook/sst2": (
            train_plain, {"corpus": "sst2", "count": 64, "padding": "max_length"},
        ),
        "train/ours/books": (train_ours, {"corpus": "books", "count": 256}),
        "train/ours-fp32/books": (
            train_ours, {"corpus": "books", "count": 96, "precision": "fp32"},
        ),
        "train/trainer/books": (train_plain, {"corpus": "books", "count": 64}),
        "train/trainer-32/books": (train_plain, {"corpus": "books", "count": 64, "batch_size": 32}),
    },
    "multilingual": {
        "multilingual/ours": (multilingual_ours, {"count": 480}),
        "multilingual/loop": (multilingual_loop, {"count": 96}),
    },
    "upper": {
        "train/ours-3-epochs/sst2": (train_ours, {"corpus": "sst2", "count": 1000, "epochs": 3}),
        "train/upper/sst2": (
            train_ours, {"corpus": "sst2", "count": 1000, "epochs": 3, "strategy": "upper"},
        ),
    },
    "encode": {
        "encode/ours/sst2": (encode_ours, {"corpus": "sst2", "count": 3000}),
        "encode/sentence-transformers/sst2": (encode_theirs, {"corpus": "sst2", "count": 2000}),
        "encode/ours/books": (encode_ours, {"corpus": "books", "count": 600}),
        "encode/sentence-transformers/books": (encode_theirs, {"corpus": "books", "count": 300}),
    },
    "classical": {
        "word2vec/ours": (word2vec_ours, {}),
        "word2vec/gensim": (word2vec_theirs, {}),
        "perceptron/ours": (perceptron_ours, {}),
        "perceptron/scikit-learn": (perceptron_theirs, {}),
    },
    # "busy" runs beside two loops that would take both cores.
    "busy": {
        f"{machine}/{name}": (function, settings)
        for machine in ("alone", "busy")
        for name, (function, settings) in {
            "ours": (train_ours, {"corpus": "sst2", "count": 256}),
            "ours-spinning": (train_ours, {"corpus": "sst2", "count": 256}),
            "ours-sleeping": (train_ours, {"corpus": "sst2", "count": 256}),
            "trainer": (train_plain, {"corpus": "sst2", "count": 256}),
        }.items()
    },
    "panel": {
        "panel/with": (panel, {"watched": True}),
        "panel/without": (panel, {"watched": False}),
    },
    "growth": {
        "growth/1000": (growth, {"count": 1000}),
        "growth/100000": (growth, {"count": 100_000}),
    },
}  # fmt: skip
