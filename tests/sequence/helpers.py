"""Whole notebooks: how they are executed, and what is read from them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import verdicts
from workbench.runs import notebooks

STEMS = [path.stem for path in notebooks.find()]


def execute(out: Path, *arguments: str) -> dict:
    """`workbench run` in a process of its own; the results, whatever became of them."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "workbench", "run", "--profile", "smoke", "--out", str(out)]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, timeout=1500
    )
    assert (out / "results.json").exists(), done.stderr
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    failed = {n: e["error"] for n, e in results["notebooks"].items() if e["status"] != "passed"}
    assert not failed, failed
    assert done.returncode == 0
    return results


def printed(cell) -> str:
    return verdicts.printed({"cells": [cell]})


def tagged(notebook, tag: str) -> list:
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def complaints(cells) -> list[str]:
    return [o.text for c in cells for o in c.get("outputs", []) if o.get("name") == "stderr"]


def many_classes(folder: Path, classes: int, domains: int) -> Path:
    """Short texts with a long tail of classes."""
    lines = ["text,label,domain"]
    for c in range(classes):
        for i in range(domains * max(6, 30 - c)):
            domain = f"place{i % domains}"
            lines.append(f"post {i} on thing{c} and topic{c % 7} at {domain},class {c:03},{domain}")
    (folder / "many.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "many.csv"
