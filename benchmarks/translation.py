"""English to German on multi30k, from nothing: what a GRU with attention and a transformer reach."""

import json
import time
from pathlib import Path

import pandas as pd

from benchmarks import cases

BEAMS = (1, 4)
# Epochs that fit into a quarter of an hour, on all 12,000 pairs.
NETWORKS = {"gru": {"epochs": 16}, "transformer": {"epochs": 12}}


def run(results: Path) -> None:
    """Every network; what is in the file already stays."""
    from benchmarks.__main__ import describe
    from workbench import evaluate, models

    train, dev = (pd.read_csv(cases.folder() / "multi30k" / f"{name}.csv")
                  for name in ("train", "dev"))  # fmt: skip
    path = results / "translation.json"
    found = json.loads(path.read_text()) if path.exists() else {"machine": describe(), "runs": []}
    for network, settings in NETWORKS.items():
        if network in [each["network"] for each in found["runs"]]:
            continue
        started = time.perf_counter()
        model = models.build("seq2seq", checkpoint=network, **settings)
        model.fit(train["en"], train["de"], validation=(dev["en"], dev["de"]))
        each = {"network": network, "seconds": round(time.perf_counter() - started)}
        each |= {k: model.training_info_[k] for k in ("parameters", "epochs", "steps")}
        each["validation losses"] = [round(loss, 4) for loss in
                                     model.history_.column("validation_loss")[1]]  # fmt: skip
        for beams in BEAMS:
            started, written = time.perf_counter(), model.predict(dev["en"], beams)
            scores = evaluate.evaluate_texts(written, dev["de"], ["bleu", "chrf"], "dev").metrics
            each[f"beams {beams}"] = scores | {"seconds": round(time.perf_counter() - started)}
        found["runs"].append(each)
        print(each, flush=True)
        path.write_text(json.dumps(found, indent=1))
    write(results / "translation.md", found)


def write(path: Path, found: dict) -> None:
    """The table."""
    lines = ["# Translation from nothing", "",
             "multi30k, English to German, 12,000 pairs, scored by sacrebleu on the 1,014 of dev, "
             "with 95% intervals by bootstrap.", "",
             ", ".join(f"{k} {v}" for k, v in found["machine"].items()), "",
             "| network | parameters | epochs | seconds of training | beams | BLEU | chrF | seconds |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for each in found["runs"]:
        for beams in BEAMS:
            s = each[f"beams {beams}"]
            bleu, chrf = (f"{s[m]:.1f} ({s[m + '_low']:.1f} to {s[m + '_high']:.1f})"
                          for m in ("bleu", "chrf"))  # fmt: skip
            lines.append(
                f"| {each['network']} | {each['parameters']:,} | {each['epochs']:g} "
                f"| {each['seconds']} | {beams} | {bleu} | {chrf} | {s['seconds']} |"
            )
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())
