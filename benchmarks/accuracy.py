"""Test accuracy on SST-2: ours beside plain Trainer, and every strategy beside each other."""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks import cases

RATES = (3e-5, 1e-4, 2e-4)
COUNT, EPOCHS, SEEDS = 1000, 3, (0, 1, 2)
STRATEGIES = {
    "full": {}, "frozen": {"strategy": "frozen"}, "upper": {"strategy": "upper"},
    "gradual": {"strategy": "gradual"}, "lora": {"strategy": "lora"},
    "layer_decay=0.9": {"layer_decay": 0.9}, "reinit_layers=1": {"reinit_layers": 1},
}  # fmt: skip


def ours(some, labels, rate, seed):
    from workbench.models.encoder_classifier import TextClassifier

    model = TextClassifier(epochs=EPOCHS, learning_rate=rate, seed=seed).fit(some, labels)
    return model.predict


def plain(some, labels, rate, seed):
    trainer, _ = cases.plain_trainer(some, labels, "sst2", False, 8, EPOCHS, rate, seed)
    trainer.train()

    def classify(others):
        from workbench.models import encoders
        from workbench.training import inference
        from workbench.training.batches import Encoded, token_ids

        rows, _ = token_ids(encoders.tokenizer("minilm"), others, 128)
        found = inference.logits(trainer.model, Encoded(rows, 0), "fp32")
        return np.array(sorted(set(labels)))[found.argmax(1)]

    return classify


def compare(results: Path) -> None:
    """The same epochs and the same search of the learning rate for both; three seeds."""
    some, labels = cases.texts("sst2", COUNT)
    held = cases.texts("sst2", split="dev")
    test = cases.texts("sst2", split="test")
    found = {}
    for name, fit in (("ours", ours), ("trainer", plain)):
        first = {rate: fit(some, labels, rate, SEEDS[0]) for rate in RATES}
        by_rate = {rate: _accuracy(predict, held) for rate, predict in first.items()}
        best = max(by_rate, key=by_rate.get)
        print(name, by_rate, flush=True)
        started = time.perf_counter()
        others = [fit(some, labels, best, seed) for seed in SEEDS[1:]]
        seconds = (time.perf_counter() - started) / len(others)
        scores = [_accuracy(predict, test) for predict in (first[best], *others)]
        found[name] = {"rate": best, "search": {str(k): v for k, v in by_rate.items()},
                       "accuracy": scores, "seconds": seconds}  # fmt: skip
        print(name, found[name], flush=True)
    (results / "accuracy.json").write_text(json.dumps(found, indent=1))
    lines = [
        "| | learning rate | test accuracy, mean (lowest – highest) | seconds |",
        "| --- | --- | --- | --- |",
    ]
    for name, each in found.items():
        mean, low, high = (
            statistics.mean(each["accuracy"]),
            min(each["accuracy"]),
            max(each["accuracy"]),
        )
        lines.append(
            f"| {name} | {each['rate']:.0e} | {mean:.4f} ({low:.4f} – {high:.4f}) | {each['seconds']:.0f} |"
        )
    head = f"SST-2, {COUNT:,} training sentences, {EPOCHS} epochs, {len(SEEDS)} seeds, 1,821 test sentences.\n\n"
    (results / "accuracy.md").write_text("# Accuracy\n\n" + head + "\n".join(lines) + "\n")


def strategies(results: Path) -> None:
    """Every strategy with its defaults on all of SST-2's training sentences, one seed."""
    from workbench.models.encoder_classifier import TextClassifier

    some, labels = cases.texts("sst2")
    test = cases.texts("sst2", split="test")
    lines = [
        "| strategy | test accuracy | seconds | trainable parameters |",
        "| --- | --- | --- | --- |",
    ]
    for name, settings in STRATEGIES.items():
        model = TextClassifier(epochs=EPOCHS, seed=0, **settings).fit(some, labels)
        moving, seconds = (
            model.training_info_["trainable_parameters"],
            model.training_info_["seconds"],
        )
        lines.append(
            f"| {name} | {_accuracy(model.predict, test):.4f} | {seconds:.0f} | {moving:,} |"
        )
        print(lines[-1], flush=True)
    head = f"SST-2, {len(some):,} training sentences, {EPOCHS} epochs, seed 0, 1,821 test sentences.\n\n"
    (results / "strategies.md").write_text("# Strategies\n\n" + head + "\n".join(lines) + "\n")


def _accuracy(predict, held: tuple) -> float:
    return float(np.mean(predict(held[0]) == np.array(held[1])))
