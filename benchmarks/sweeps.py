"""What a sweep costs beside its runs, what kills cost, and how long a thousand runs take to read.

    python -m benchmarks.sweeps            everything, a quarter of an hour on two cores

The 60 runs are four models on three data sets with five seeds each. They are done undisturbed, then
by calls that are killed (SIGKILL) at random moments and repeated, on every engine; the results must
be the same, and no run may be done twice.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

RESULTS = Path(__file__).parent / "results" / "sweeps.json"
GRID = {"models": ["majority", "naive-bayes", "logistic", "perceptron"],
        "data": ["reviews", "reviews-zh", "reviews-en-zh"], "seed": [0, 1, 2, 3, 4]}  # fmt: skip
THOUSAND = {"models": "majority", "data": "reviews", "seed": list(range(1000))}
KILLS = 10
CLUSTER = """
import threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from workbench import runs

head = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
lost = cluster.add_node(num_cpus=1)
cluster.add_node(num_cpus=1)

def kill():
    while len(list(Path("cluster/runs").glob("[!.]*"))) < 20:
        time.sleep(0.05)
    cluster.remove_node(lost, allow_graceful=False)

threading.Thread(target=kill, daemon=True).start()
started = time.perf_counter()
runs.sweep("grid.yaml", "cluster", address=cluster.address)
print("seconds", time.perf_counter() - started)
"""


def command(name: str, out: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "workbench", "sweep", f"{name}.yaml", "--out", out, *more]


def scores(out: str) -> dict:
    """Of each run its numbers, and when its folder was written."""
    from workbench import runs

    return {
        run.path.name: (run.metrics["accuracy"], run.metrics["loss"], run.info["time"])
        for run in runs.list_runs(f"{out}/runs")
    }


def timed(call: Callable) -> float:
    started = time.perf_counter()
    call()
    return round(time.perf_counter() - started, 2)


def quiet(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(out: str, kills: int, longest: float, *more: str) -> dict:
    """Start, kill after a random while, start again; then once to the end."""
    draw, seen, happened = random.Random(0), {}, []
    for _ in range(kills):
        started = subprocess.Popen(command("grid", out, *more), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(draw.uniform(0.3, 1) * longest)
        started.send_signal(signal.SIGKILL)
        started.wait()
        now = scores(out)
        assert {key: now[key] for key in seen} == seen, "a run that was there has changed"
        seen = now
        happened.append(len(now))
    quiet(command("grid", out, *more))
    return {"done after each kill": happened, "runs": len(scores(out)),
            "partial": len(list(Path(out, "runs").glob(".*")))}  # fmt: skip


def without_time(found: dict) -> dict:
    return {key: numbers[:2] for key, numbers in found.items()}


def in_sequence() -> float:
    """Seconds of the same 60 runs in one process by `jobs`, without an engine around them."""
    from workbench.runs import jobs, plan

    planned = plan.jobs(plan.read(GRID))
    jobs.train(planned[5], plan.select(plan.load(planned[5].data), ()))  # imports
    started = time.perf_counter()
    for job in planned:
        rows = plan.select(plan.load(job.data), job.pair)
        jobs.save(job, *jobs.train(job, rows), rows, Path("sequence").resolve())
    return round(time.perf_counter() - started, 2)


def measure() -> dict:
    """Everything, in an empty folder."""
    from workbench import evaluation, runs
    from workbench.runs import report

    Path("grid.yaml").write_text(yaml.safe_dump(GRID))
    Path("thousand.yaml").write_text(yaml.safe_dump(THOUSAND))
    found = {"sum of 60 runs": in_sequence()}
    for name, more in {"processes": (), "jobs": ("--jobs", "2"), "ray": ("--ray",)}.items():
        found[name] = {
            "seconds": timed(lambda name=name, more=more: quiet(command("grid", name, *more)))
        }
        found[name]["again"] = timed(
            lambda name=name, more=more: quiet(command("grid", name, *more))
        )
        print(name, found[name], flush=True)
    expected = without_time(scores("sequence"))
    for name in ("processes", "jobs", "ray"):
        found[name]["same"] = without_time(scores(name)) == expected
    for name, more, longest in (("jobs", ("--jobs", "2"), 12), ("ray", ("--ray",), 30)):
        found[f"{name}, killed"] = killed(f"{name}-killed", KILLS, longest, *more)
        found[f"{name}, killed"]["same"] = without_time(scores(f"{name}-killed")) == expected
        print(name, "killed", found[f"{name}, killed"], flush=True)
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER], check=True, capture_output=True, text=True
    )
    seconds = next(line for line in done.stdout.splitlines() if line.startswith("seconds"))
    found["three nodes, one killed"] = {
        "seconds": round(float(seconds.split()[1]), 1),
        "same": without_time(scores("cluster")) == expected,
    }
    quiet(command("thousand", "thousand"))
    listed = []
    found["1000 runs"] = {
        "list": timed(lambda: listed.extend(runs.list_runs("thousand/runs"))),
        "compare": timed(lambda: evaluation.over_seeds(listed)),
        "report": timed(lambda: report.write_sweep("thousand", listed, {})),
        "again": timed(lambda: quiet(command("thousand", "thousand"))),
        "MB on the disk": round(
            sum(f.stat().st_blocks * 512 for f in Path("thousand").rglob("*")) / 1e6, 1
        ),
        "files": sum(1 for f in Path("thousand").rglob("*") if f.is_file()),
    }
    return found


def main() -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])
    )
    folder, here = tempfile.mkdtemp(), Path.cwd()
    os.chdir(folder)
    try:
        found = measure()
    finally:
        os.chdir(here)
        shutil.rmtree(folder)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
