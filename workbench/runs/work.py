"""What one process of a sweep does: a job after another, each to a whole run folder."""

import io
import json
import os
import queue
import sys
import threading
import time
import zipfile
from dataclasses import asdict
from pathlib import Path

from workbench import files
from workbench.errors import UserError, first_line, taking_notes
from workbench.runs import execution, jobs, plan, report, search
from workbench.runs.plan import Job
from workbench.runs.worker import kill


def perform(group: list[Job], frames: dict, out: Path, home: Path | None = None) -> list[dict]:
    """Do jobs that share their training; each gives its key, seconds and, if it failed, an error.

    Parameters
    ----------
    frames : what `plan.load` gives for their data; of a notebook nothing.
    out, home : where the run folders go, and the sweep's own folder where that is another.
    """
    fitted, done = None, []
    for job in group:
        started, error = time.perf_counter(), ""
        try:
            if job.notebook:
                _execute(job, out)
            elif job.trial is not None:
                search.draw(job, plan.select(frames, job.pair), out, home or out)
            else:
                rows = plan.select(frames, job.pair)
                fitted = fitted or jobs.train(job, rows)
                jobs.save(job, *fitted, rows, out)
        except Exception as caught:  # whatever happens is this run's failure alone
            kind = "" if isinstance(caught, UserError) else f"{type(caught).__name__}: "
            error = kind + first_line(caught)
        seconds = time.perf_counter() - started
        done.append({"key": job.key, "seconds": seconds, "error": error})
    return done


def _execute(job: Job, out: Path) -> None:
    """Run a notebook into a folder that gets its name when all went through."""
    target = job.folder(out)
    with files.partial(target.parent) as partial:
        whole = execution.prepare(Path(partial, job.key))
        results = execution.run({Path(job.notebook): job.parameters}, whole)
        (name, entry), *_ = results["notebooks"].items()
        report.write_html(whole / f"{name}.ipynb", whole / f"{name}.html", entry)
        report.write_index(whole, results)
        if entry["status"] != "passed":
            raise UserError(entry["error"] or entry["status"])
        files.publish(whole, target)


def pack(folder: Path) -> bytes:
    """Every file of a folder, as it travels from a cluster."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return packed.getvalue()


def unpack(packed: bytes, out: Path) -> None:
    """Write the runs that `pack` holds, each whole or not at all."""
    with files.partial(out) as partial:
        zipfile.ZipFile(io.BytesIO(packed)).extractall(partial)
        for run in Path(partial).glob("*/*"):
            target = out / run.relative_to(partial)
            target.parent.mkdir(exist_ok=True)
            files.publish(run, target)


def main() -> None:
    """Do the groups of jobs that the parent writes, a line each; answer each with a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    groups: queue.Queue = queue.Queue()
    threading.Thread(target=_listen, args=(groups,), daemon=True).start()
    while True:
        order = groups.get()
        group = [Job(**fields) for fields in order["jobs"]]
        try:
            with taking_notes():  # given when the sweep was planned
                frames = plan.load(group[0].data) if group[0].data else {}
            done = perform(group, frames, Path(order["out"]))
        except Exception as error:  # the data cannot be read any more
            done = [{"key": j.key, "seconds": 0.0, "error": first_line(error)} for j in group]
        print(json.dumps(done), file=answers, flush=True)


def _listen(groups: queue.Queue) -> None:
    """Hand on what the parent asks for; the pipe closes when it is gone, however it went."""
    for line in sys.stdin:
        groups.put(json.loads(line))
    kill(os.getpid(), itself=False)  # the kernels of a notebook
    os._exit(1)


def order(group: list[Job], out: Path) -> str:
    """The line that asks for a group."""
    return json.dumps({"jobs": [asdict(job) for job in group], "out": str(out)}) + "\n"


if __name__ == "__main__":
    main()
