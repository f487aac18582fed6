"""Many runs from one file: what is missing is done, in any number of processes and calls."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

from workbench import files, models
from workbench.errors import UserError, warn
from workbench.models import costs
from workbench.runs import engine, execution, folders, plan, report
from workbench.runs.plan import Job

OTHER = 600.0  # MiB of a process that trains no encoder
BYTES = 16  # of a parameter that is trained: itself, its gradient, two moments
POLL = 0.2  # seconds


@dataclass
class State:
    """How far a sweep is; `failed` maps the folders of runs to their errors."""

    total: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    left: float | None = None  # seconds, by the runs that have ended


def sweep(
    spec: str | Path | dict,
    out: str | Path | None = None,
    *,
    jobs: int = 1,
    ray: bool = False,
    address: str = "",
    search: int = 0,
    progress: Callable[[State], None] = lambda state: None,
) -> list[folders.Run]:
    """Do every run of a sweep that is not there yet, and return all that are.

    Parameters
    ----------
    spec : a YAML file, or what it holds: models, data, seed, settings, pairs, limit; or a notebook
        and its parameters. Lists are combined with each other.
    out : the folder of the sweep; by default ``sweeps/`` and the name of the file.
    jobs : processes of this machine.
    ray, address : do it on Ray, of this machine or of the cluster at an address.
    search : draws of each search over ranges (``{low: 1e-5, high: 1e-3, log: true}``), of which
        the lowest validation loss is then run with every seed.
    progress : called with a `State` whenever something has changed, and now and then.

    Raises
    ------
    UserError : before the first run, where anything of the file cannot be used; after the last,
        where runs have failed. A second call does those and what is missing.
    """
    planned = plan.jobs(plan.read(spec))
    out = folder(spec, out)
    make = _engines(out, jobs, ray or bool(address), address)
    ranged = [job for job in planned if job.ranges]
    if bool(ranged) != bool(search):
        what = "no range to search" if search else "ranges, which need --search N"
        raise UserError(f"The sweep has {what}; a range is {{low: 1e-5, high: 1e-3, log: true}}.")
    if ranged:
        from workbench.runs import search as searching

        _run(searching.trials(ranged, search), out, make, progress)
        planned = [job for job in planned if not job.ranges] + searching.chosen(ranged, out)
    state = _run(planned, out, make, progress)
    found = results(out, planned)
    if others := sum(map(_is_of_another_version, found)):
        warn(
            f"{others} of {len(found)} runs in '{out}' were made by another version of the "
            "workbench: without their folders the same call makes them anew."
        )
    if found and planned[0].model:
        report.write_sweep(out, found, state.failed)
    if state.failed:
        first = next(iter(state.failed.items()))
        raise UserError(
            f"{len(state.failed)} of {state.total} runs failed; the first, {first[0]}: {first[1]} "
            f"The same call tries them again; the others are in '{out}'."
        )
    return found


def folder(spec: str | Path | dict, out: str | Path | None) -> Path:
    """Where a sweep is kept."""
    name = "sweep" if isinstance(spec, dict) else Path(spec).stem
    return Path(out or Path("sweeps") / name).expanduser().resolve()


def results(out: Path, planned: list[Job]) -> list[folders.Run]:
    """The finished runs of these jobs; of a notebook, those that it has recorded."""
    there = [own for job in planned if (own := job.folder(out)).is_dir()]
    if planned and planned[0].notebook:
        return [run for own in there for run in folders.list_runs(own / "runs")]
    return [folders.load(own) for own in there]


def _is_of_another_version(run: folders.Run) -> bool:
    made_by = run.info["versions"].get("workbench"), run.info["git"]
    return made_by != (folders.versions()["workbench"], folders.git_revision())


def _engines(out: Path, jobs: int, ray: bool, address: str) -> Callable:
    return lambda: engine.Cluster(out, address) if ray else engine.Processes(out, jobs)


def _run(planned: list[Job], out: Path, make: Callable, progress: Callable) -> State:
    """Do what is missing of `planned`; locks keep two calls from doing the same."""
    state = State(len(planned))
    groups = defaultdict(list)
    for job in planned:
        if job.folder(out).is_dir():
            state.done += 1
        else:
            groups[job.group()].append(job)
    if not groups:
        return state
    for place in ("locks", "failed"):
        (out / place).mkdir(parents=True, exist_ok=True)
    with execution.terminable():
        workers = make()
        try:
            _Dispatch(out, workers, state, progress).run(list(groups.values()))
        finally:
            workers.close()
    return state


class _Dispatch:
    """Hands groups of jobs to the workers, and keeps count."""

    def __init__(self, out: Path, workers, state: State, progress: Callable) -> None:
        self.out, self.workers, self.state, self.progress = out, workers, state, progress
        self.locks: dict[str, object] = {}  # by what a group shares
        self.jobs: dict[str, Job] = {}  # those that are running
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.needed = cache(partial(needed, found=measured(out)))
        self.began: dict[str, float] = {}

    def run(self, waiting: list[list[Job]]) -> None:
        while waiting or self.jobs:
            for group in list(waiting):
                memory = self.needed(group[0])[1]
                if not self.workers.has_room(memory):
                    break
                if not self._claim(group[0].group()):
                    continue  # another call is at it
                waiting.remove(group)
                if missing := [job for job in group if not job.folder(self.out).is_dir()]:
                    self.jobs |= {job.key: job for job in missing}
                    self.began |= {job.key: time.monotonic() for job in missing}
                    self.workers.start(missing, memory)
                else:
                    self.locks.pop(group[0].group()).release()
                self.state.done += len(group) - len(missing)
            answers = self.workers.ended(POLL)
            for shared in {self._ended(**answer).group() for answer in answers}:
                self.locks.pop(shared).release()
            self._report(waiting)

    def _claim(self, shared: str) -> bool:
        from filelock import FileLock, Timeout

        name = hashlib.sha256(shared.encode()).hexdigest()[:16]
        lock = FileLock(self.out / "locks" / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self.locks[shared] = lock
        return True

    def _ended(self, key: str, seconds: float, error: str) -> Job:
        job = self.jobs.pop(key)
        note = self.out / "failed" / f"{key}.json"
        if error:
            self.state.failed[key] = error
            with suppress(OSError):  # the disk is full, which `error` says
                files.write(note, files.to_json({"error": error, "job": asdict(job)}))
        else:
            self.state.done += 1
            self.seconds[job.name].append(seconds)
            note.unlink(missing_ok=True)
        return job

    def _report(self, waiting: list[list[Job]]) -> None:
        self.state.running = [f"{job.name}, {job.where}" for job in self.jobs.values()]
        every = [s for seconds in self.seconds.values() for s in seconds]
        if every:
            now, mean = time.monotonic(), sum(every) / len(every)

            def seconds(job: Job) -> float:
                known = self.seconds[job.name] or [self.needed(job)[0] or mean]
                return sum(known) / len(known)

            left = sum(seconds(job) for group in waiting for job in group)
            left += sum(max(0, seconds(j) - now + self.began[k]) for k, j in self.jobs.items())
            self.state.left = left / max(1, len(self.jobs))
        self.progress(self.state)


def needed(job: Job, found: dict[str, dict]) -> tuple[float | None, float]:
    """Seconds (None where it was not measured) and MiB of a run."""
    if cost := found.get(_alike(job)):
        return cost["seconds"], cost["memory"] + OTHER
    memory = OTHER
    if job.model and (encoder := getattr(models.build(job.model, **job.settings), "encoder", "")):
        with suppress(UserError):  # its size cannot be found out here
            weights = costs.parameters(str(encoder))[0] / engine.MIB
            memory += OTHER + weights * (4 if job.settings.get("strategy") == "frozen" else BYTES)
    return None, memory


def _alike(job: Job) -> str:
    """What runs of one cost have in common."""
    return json.dumps([job.name, job.data, job.pair, sorted(job.ranges)])


def measured(out: Path) -> dict[str, dict]:
    """What `estimate` has found in a folder before."""
    path = out / "costs.json"
    return json.loads(path.read_text()) if path.exists() else {}


def estimate(planned: list[Job], out: Path) -> dict[str, dict]:
    """Seconds and MiB of each kind of run, by fits on small samples here; kept in the folder."""
    found = measured(out)
    for job in {_alike(job): job for job in planned if job.model}.values():
        if _alike(job) not in found:
            train = plan.select(plan.load(job.data), job.pair)[0][: job.limit]
            middle = {name: limits["low"] for name, limits in job.ranges.items()}
            cost = costs.estimate(job.model, list(train["text"]), list(train["label"]),
                                  **job.settings | middle)  # fmt: skip
            found[_alike(job)] = {"seconds": cost.seconds, "memory": cost.memory}
            out.mkdir(parents=True, exist_ok=True)
            files.write(out / "costs.json", files.to_json(found))
    return found
