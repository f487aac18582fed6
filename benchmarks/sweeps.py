"""What a sweep costs beside its runs, what kills cost, and how long a thousand runs take to read.

    python -m benchmarks.sweeps                everything, half an hour on two cores
    python -m benchmarks.sweeps --only kills   a part

The 60 runs are four models on three data sets with five seeds each. They are done undisturbed, then
by calls that are killed (SIGKILL) at random moments and repeated, on every engine; the results must
be the same, and no run may be done twice.
"""

import argparse
import contextlib
import json
import os
import random
import resource
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
LONGER = {"models": {"lstm": {"epochs": 4}}, "data": "reviews", "seed": list(range(8))}
KILLS = 10
ENGINES = {"jobs": ("--jobs", "2"), "ray": ("--ray",)}
CLUSTER = """
import sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from workbench import runs

file, out, some = sys.argv[1:]
head = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
lost = cluster.add_node(num_cpus=1)
cluster.add_node(num_cpus=1)

def kill():
    while len(list(Path(out, "runs").glob("[!.]*"))) < int(some):
        time.sleep(0.05)
    cluster.remove_node(lost, allow_graceful=False)
    print("killed", len(runs.list_runs(out)), flush=True)

threading.Thread(target=kill, daemon=True).start()
print(len(runs.sweep(file, out, address=cluster.address)))
"""  # its words: the file, the folder, and after how many runs a node is lost


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


def killed(out: str, kills: int, *more: str) -> dict:
    """Start, kill when some runs more are done, start again; then once to the end."""
    draw, seen, happened = random.Random(0), {}, []
    for left in range(kills, 0, -1):
        started = subprocess.Popen(command("grid", out, *more), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        most = (59 - len(seen)) // left
        wanted = len(seen) + draw.randint(min(1, most), most)
        while started.poll() is None and len(folders(out)) < wanted:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.5))
        started.send_signal(signal.SIGKILL)
        started.wait()
        now = scores(out)
        assert {key: now[key] for key in seen} == seen, "a run that was there has changed"
        seen = now
        happened.append(len(now))
    quiet(command("grid", out, *more))
    return {"done after each kill": happened, "runs": len(scores(out)),
            "partial": len(list(Path(out, "runs").glob(".*")))}  # fmt: skip


def folders(out: str) -> list[Path]:
    return list(Path(out, "runs").glob("[!.]*"))


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


def times() -> dict:
    """What each engine adds to its runs: the 60 small ones, and eight that train for a while.

    Seconds are counted inside one call: from the first run that ended to the last, less what the
    runs themselves took, so that a slow spell of the machine is in both.
    """
    found = {"60 runs in sequence": in_sequence()}
    expected = without_time(scores("sequence"))
    for grid, spec in {"60 small runs": GRID, "8 trainings": LONGER}.items():
        for name, settings in {"processes": {}, "ray": {"ray": True}}.items():
            out = f"{name}-{len(grid)}"
            at_once = 2 if name == "ray" and spec is GRID else 1  # a training takes both CPUs
            found[f"{grid}, {name}"] = overhead(spec, out, at_once, **settings)
            if spec is GRID:
                found[f"{grid}, {name}"]["same"] = without_time(scores(out)) == expected
            print(grid, name, found[f"{grid}, {name}"], flush=True)
    return found


def overhead(spec: dict, out: str, at_once: int, **settings) -> dict:
    """Seconds that a sweep adds, by the moments at which its runs ended."""
    from workbench import runs
    from workbench.runs import sweeps

    ends, before = [], sweeps._Dispatch._ended

    def ended(self, key, seconds, error):
        ends.append((time.perf_counter(), seconds))
        return before(self, key, seconds, error)

    sweeps._Dispatch._ended = ended
    started = time.perf_counter()
    try:
        runs.sweep(spec, out, **settings)
    finally:
        sweeps._Dispatch._ended = before
    (first, own), work = ends[0], sum(seconds for _, seconds in ends[at_once:])
    span = ends[-1][0] - first
    return {
        "wall": round(time.perf_counter() - started, 1), "work": round(sum(s for _, s in ends), 1),
        "until the first run": round(first - started - own, 1), "at once": at_once,
        "added a run": round((span - work / at_once) / (len(ends) - at_once), 3),
        "added, share": round(span * at_once / work - 1, 3),
    }  # fmt: skip


def kills() -> dict:
    """Calls that are killed, and a cluster of three nodes that loses one."""
    in_sequence()
    expected, found = without_time(scores("sequence")), {}
    for name in ("jobs", "ray"):
        found[name] = killed(name, KILLS, *ENGINES[name])
        found[name]["same"] = without_time(scores(name)) == expected
        print(name, found[name], flush=True)
    words = [sys.executable, "-c", CLUSTER, "grid.yaml", "cluster", "20"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    found["three nodes, one lost"] = {"runs": len(scores("cluster")),
                                      "same": without_time(scores("cluster")) == expected}  # fmt: skip
    return found


def thousand() -> dict:
    """A thousand runs of `majority`: made, read, compared, reported; and what they take."""
    from workbench import evaluation, runs
    from workbench.runs import report

    made = timed(lambda: quiet(command("thousand", "thousand")))
    listed = []
    found = {
        "made": made,
        "listed": timed(lambda: listed.extend(runs.list_runs("thousand"))),
        "compared": timed(lambda: evaluation.over_seeds(listed)),
        "reported": timed(lambda: report.write_sweep("thousand", listed, {})),
        "again": timed(lambda: quiet(command("thousand", "thousand"))),
    }
    files = [path for path in Path("thousand").rglob("*") if path.is_file()]
    size = sum(path.stat().st_blocks * 512 for path in files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found | {"files": len(files), "MB on the disk": round(size / 1e6, 1),
                    "peak MB": round(peak / 1e3)}  # fmt: skip


PARTS = {"times": times, "kills": kills, "thousand": thousand}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in given.only:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("grid.yaml").write_text(yaml.safe_dump(GRID))
            Path("thousand.yaml").write_text(yaml.safe_dump(THOUSAND))
            found[part] = PARTS[part]()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        print(part, json.dumps(found[part], indent=1), flush=True)


if __name__ == "__main__":
    main()
