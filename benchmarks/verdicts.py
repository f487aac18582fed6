"""Whether notebook 04 says what its numbers say, and whether its experiments show what they are for.

``python -m benchmarks.verdicts --seeds 0 1 2`` runs it at ``quick``; the tests run it at ``smoke``.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

N = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
ROUNDING = 0.0011  # of printed numbers: what lies closer together is not judged
NOTEBOOK = "04_bert_finetuning"


class Rule(NamedTuple):
    """A sentence with its numbers (named groups; ``said`` is the verdict) and what it must say."""

    experiment: str
    pattern: str
    expected: Callable[[dict], str | None]
    wanted: str = ""  # the verdict that shows what the experiment is for, at `quick`


def above(x: float, y: float, yes: str, no: str | None) -> str | None:
    """Which of the two words is right; None where rounding decides."""
    if abs(x - y) < ROUNDING:
        return None
    return yes if x > y else no


def significant(g: dict) -> str | None:
    """The words for a difference `d` with the p-value `p`."""
    better = "better" if g["d"] > 0 else "worse"
    return above(g["p"], 0.05, "no difference shown", better)


RULES = [
    Rule(
        "by hand",
        rf"Validation accuracy {N} \((?P<low>{N}) to {N}\) of \d+ texts;\n"
        rf"the most frequent class: (?P<chance>{N})\.\nVerdict: (?P<said>.*)\.",
        lambda g: above(g["low"], g["chance"], "learned, beyond chance",
                        "not beyond chance: more texts or steps"),
        "learned, beyond chance",
    ),
    Rule(
        "overfitting",
        rf"Validation loss: lowest (?P<low>{N}), after epoch \d+ of \d+;\n"
        rf"at the end (?P<end>{N})\.\nVerdict: (?P<said>.*)\.\nThe training loss",
        lambda g: above(g["end"], g["low"] + 0.02, "overfitting", "no overfitting"),
        "overfitting",
    ),
    Rule(
        "main model's curve",
        rf"Validation loss: lowest (?P<low>{N}), after epoch \d+ of \d+;\n"
        rf"at the end (?P<end>{N})\.\nVerdict: (?P<said>.*)\.\n(?!The training loss)",
        lambda g: above(g["end"], g["low"] + 0.02, "overfitting", "no overfitting"),
    ),
    Rule(
        "early stopping",
        rf"Validation loss (?P<early>{N}) with early stopping, (?P<late>{N}) without\.\n"
        r"Verdict: (?P<said>.*)\.",
        lambda g: above(g["late"], g["early"] + 0.02, "saved by stopping", "nothing to save"),
        "saved by stopping",
    ),
    Rule(
        "networks from nothing",
        rf"[\w-]+: lowest loss {N} in epoch (?P<epoch>\d+) of (?P<of>\d+): (?P<said>.*);",
        lambda g: "turned" if g["epoch"] < g["of"] else "still falling",
        "turned",
    ),
    Rule(
        "against word counts",
        rf"against .*: (?P<d>{N}) accuracy, p = (?P<p>{N}): (?P<said>.*)\.",
        significant,
    ),
    Rule("strategies", rf"against .*: (?P<d>{N}), p = (?P<p>{N}): (?P<said>.*)\.", significant),
    Rule(
        "learning curve",
        rf"its lead is at least (?P<lead>{N}): (?P<said>.*)\.",
        lambda g: above(g["lead"], 0, "ahead of all others", "no sure winner"),
    ),
    Rule(
        "decoder",
        rf"Perplexity {N} before and (?P<after>{N}) after training; by the frequency of the tokens "
        rf"alone (?P<frequency>{N})\.\nVerdict: (?P<said>.*)\.",
        lambda g: above(g["frequency"], g["after"], "it uses the tokens before",
                        "no better than frequencies yet"),
        "it uses the tokens before",
    ),
]  # fmt: skip


def printed(notebook: dict) -> str:
    """What the cells of an executed notebook printed."""
    outputs = (o for cell in notebook["cells"] for o in cell.get("outputs", []))
    return "".join("".join(o.get("text", "")) for o in outputs)


def verdicts(text: str) -> Iterator[tuple[str, str, str | None, str]]:
    """Of each sentence: its experiment, its verdict, the right one, and the one hoped for."""
    for rule in RULES:
        for found in re.finditer(rule.pattern, text):
            groups = found.groupdict()
            said = groups.pop("said")
            numbers = {name: float(value) for name, value in groups.items()}
            yield rule.experiment, said, rule.expected(numbers), rule.wanted
    yield from _rates(text)


def _rates(text: str) -> Iterator[tuple[str, str, str | None, str]]:
    """The three learning rates, of which the lowest loss tells which side the others are on."""
    line = rf"rate ({N}): loss ({N}), accuracy {N} \(({N}) to {N}\): (.*)\."
    found = sorted((float(r), float(loss), float(low), said)
                   for r, loss, low, said in re.findall(line, text))  # fmt: skip
    chance = re.search(rf"most frequent class ({N})\.", text)
    losses = sorted(loss for _, loss, *_ in found)
    hidden = len(losses) > 1 and losses[1] - losses[0] < ROUNDING / 10  # which rate is the best
    best = min(found, key=lambda row: row[1])[0] if found else 0
    wanted = ["too low", "works", "too high"][: len(found)]
    for (rate, _, low, said), hoped in zip(found, wanted, strict=True):
        failed = "too low" if rate < best else "too high" if rate > best else "not beyond chance"
        right = above(low, float(chance[1]), "works", None if hidden else failed)
        yield "learning rate", said, right, hoped


def contradictions(text: str) -> list[str]:
    """Experiments without a verdict, and verdicts that their own numbers do not bear out."""
    found = list(verdicts(text))
    missing = {rule.experiment for rule in RULES} | {"learning rate"}
    missing -= {experiment for experiment, *_ in found}
    wrong = [f"{experiment}: '{said}' where the numbers say '{right}'"
             for experiment, said, right, _ in found if right not in (said, None)]  # fmt: skip
    return [f"{experiment}: no verdict" for experiment in sorted(missing)] + wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", default="reviews")
    parser.add_argument("--profile", default="quick")
    given = parser.parse_args()
    failed = False
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as out:
            command = ["run", "04", "--profile", given.profile, "--seed", str(seed)]
            command += ["--data", given.data, "--out", out]
            subprocess.run([sys.executable, "-m", "workbench", *command], check=True)
            notebook = json.loads(Path(out, f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8"))
        text = printed(notebook)
        for experiment, said, _, wanted in verdicts(text):
            shown = "" if not wanted else "as hoped" if said == wanted else f"hoped for: {wanted}"
            print(f"seed {seed}: {experiment}: {said}. {shown}", flush=True)
        wrong = contradictions(text)
        failed |= bool(wrong)
        print(*wrong, sep="\n")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
