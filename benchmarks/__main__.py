"""Runs the cases of `cases.py` in turned order and writes the table."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import cases

RESULTS = Path(__file__).parent / "results"
ONCE = ("growth",)  # minutes long: the noise of seconds drowns in them
PAIRS = [
    ("train/ours/sst2", "train/trainer/sst2"),
    ("train/ours/sst2", "train/trainer-32/sst2"),
    ("train/ours/sst2", "train/textbook/sst2"),
    ("train/ours-fp32/sst2", "train/trainer/sst2"),
    ("train/ours-fp32/sst2", "train/trainer-32/sst2"),
    ("train/ours/books", "train/trainer/books"),
    ("train/ours/books", "train/trainer-32/books"),
    ("train/ours-fp32/books", "train/trainer/books"),
    ("train/upper/sst2", "train/ours-3-epochs/sst2"),
    ("multilingual/ours", "multilingual/loop"),
    ("encode/ours/sst2", "encode/sentence-transformers/sst2"),
    ("encode/ours/books", "encode/sentence-transformers/books"),
    ("word2vec/ours", "word2vec/gensim"),
    ("perceptron/ours", "perceptron/scikit-learn"),
    ("panel/with", "panel/without"),
    ("alone/ours", "alone/ours-spinning"),
    ("alone/ours", "alone/trainer"),
    ("busy/ours", "busy/ours-spinning"),
    ("busy/ours", "busy/ours-sleeping"),
    ("busy/ours", "busy/trainer"),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=cases.CASES, default=list(cases.CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="cpu", help="of the files in benchmarks/results")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--accuracy", action="store_true", help="ours against plain Trainer")
    parser.add_argument("--strategies", action="store_true", help="every strategy on SST-2")
    parser.add_argument("--languages", action="store_true", help="trained in one, tested in others")
    parser.add_argument(
        "--translation", action="store_true", help="English to German, from nothing"
    )
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.case)))
    elif given.languages:
        from benchmarks import languages

        languages.run(RESULTS)
    elif given.translation:
        from benchmarks import translation

        translation.run(RESULTS)
    elif given.accuracy or given.strategies:
        from benchmarks import accuracy

        (accuracy.compare if given.accuracy else accuracy.strategies)(RESULTS)
    else:
        write(collect(given.only, given.repeats), given.name)


def measure(name: str) -> dict:
    """One case, in this process."""
    function, settings = next(group[name] for group in cases.CASES.values() if name in group)
    found = function(**settings)
    return found | {"peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def collect(groups: list[str], repeats: int) -> dict[str, list[dict]]:
    """Every case `repeats` times, in an order that turns round each time."""
    found: dict[str, list[dict]] = {}
    for group in groups:
        for repeat in range(1 if group in ONCE else repeats):
            names = list(cases.CASES[group])
            for name in names[:: -1 if repeat % 2 else 1]:
                found.setdefault(name, []).append(_in_a_process(name))
                rate = found[name][-1]["per second"]
                print(f"{name}: {rate:.1f} a second", flush=True)
    return found


def _in_a_process(name: str) -> dict:
    command = [sys.executable, "-m", "benchmarks", "--case", name]
    variables = os.environ | {"HF_HUB_OFFLINE": "1"} | _spinning(name)
    with _beside_loops(2 if name.startswith("busy/") else 0):
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _spinning(name: str) -> dict[str, str]:
    """How long libgomp's threads spin at a barrier: as libgomp has it where we are not measured."""
    if name.endswith("ours-sleeping"):
        return {"GOMP_SPINCOUNT": "0"}
    return {} if "/ours" in name and "spinning" not in name else {"GOMP_SPINCOUNT": "300000"}


@contextmanager
def _beside_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def write(found: dict[str, list[dict]], name: str) -> None:
    """The table, as Markdown and as JSON."""
    RESULTS.mkdir(exist_ok=True)
    machine = describe()
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, "runs": found}, indent=1))
    lines = [
        "# Measured", "", ", ".join(f"{k} {v}" for k, v in machine.items()), "",
        "| case | a second | seconds | peak MiB | share of the matrix-product rate |",
        "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for case, runs in found.items():
        share = _share(case, runs, found)
        seconds = statistics.median(run["seconds"] for run in runs)
        peak = statistics.median(run["peak MiB"] for run in runs)
        lines.append(f"| {case} | {_spread(runs)} | {seconds:.1f} | {peak:,.0f} | {share} |")
    lines += ["", "| compared | times as fast | peak memory |", "| --- | --- | --- |"]
    for ours, theirs in PAIRS:
        if ours in found and theirs in found:
            speed, memory = (
                _ratio(found[ours], found[theirs], k) for k in ("per second", "peak MiB")
            )
            lines.append(f"| {ours} : {theirs} | {speed:.2f} | {memory:.2f} |")
    if "growth/1000" in found:
        small, large = (found[f"growth/{n}"][0] for n in (1000, 100_000))
        times = large["seconds"] / small["seconds"]
        lines.append(f"| growth/100000 : growth/1000 (seconds) | {times:.1f} | – |")
    extra = [f"- {case}: {key} {runs[0][key]:.4f}" for case, runs in found.items()
             for key in ("lowest cosine", "accuracy") if key in runs[0]]  # fmt: skip
    text = "\n".join([*lines, "", *extra]) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def _spread(runs: list[dict]) -> str:
    rates = sorted(run["per second"] for run in runs)
    return f"{statistics.median(rates):.1f} ({rates[0]:.1f} – {rates[-1]:.1f})"


def _ratio(ours: list[dict], theirs: list[dict], key: str) -> float:
    return statistics.median(r[key] for r in ours) / statistics.median(r[key] for r in theirs)


def _share(case: str, runs: list[dict], found: dict) -> str:
    """Six products a weight and token (forward and backward), of the rate of that number type."""
    kind = "bfloat16" if "/ours/" in case and _bf16() else "float32"
    if f"products/{kind}" not in found or case not in cases.CASES["train"]:
        return ""
    layers = 10.65e6  # weights of MiniLM's six layers
    rate = statistics.median(run["tokens per second"] for run in runs) * 6 * layers / 1e9
    return f"{rate / statistics.median(r['per second'] for r in found[f'products/{kind}']):.0%}"


def _bf16() -> bool:
    from workbench.training import inference

    return inference.precision() == "bf16"


def describe() -> dict[str, str]:
    """The machine, in words."""
    import torch
    import transformers

    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((x.split(":")[1].strip() for x in info.splitlines() if "model name" in x), "?")
    units = [u for u in ("avx512f", "avx512_bf16", "amx_bf16") if u in info]
    return {
        "processor": model, "units": " ".join(units), "cores": str(os.cpu_count()),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
