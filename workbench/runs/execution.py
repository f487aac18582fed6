"""Executes notebooks, each in a process of its own, and keeps `results.json` true all the while."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from workbench import files
from workbench.errors import UserError
from workbench.runs import folders
from workbench.runs.notebooks import GENERAL, literals, read
from workbench.runs.worker import KERNEL, environment, kill, one_line


@dataclass
class Child:
    """A notebook that is being executed: `cell` of `cells` code cells has begun."""

    path: Path
    process: subprocess.Popen
    events: Path
    started: float
    cell: int = 0
    cells: int = 0

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.started

    def update(self) -> dict:
        """Read the events that the process has logged; return the last, in the end its status."""
        last = {}
        if self.events.exists():
            # A line without its end is still being written.
            for line in self.events.read_text(encoding="utf-8").split("\n")[:-1]:
                last = json.loads(line)
                self.cell, self.cells = last.get("cell", self.cell), last.get("cells", self.cells)
        return last


def prepare(out: str | Path | None = None) -> Path:
    """Create the folder of a report, and prove that it can be written, before anything runs.

    Raises
    ------
    UserError : it cannot be written, or holds something already.
    """
    path = Path(out or Path("reports") / time.strftime("%Y%m%d-%H%M%S")).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UserError(f"The folder '{path}' is not empty; name another one with --out.")
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"The folder '{path}' cannot be written ({reason}); name another one with --out."
        ) from error
    return path


def run(
    chosen: dict[Path, dict[str, object]],
    out: Path,
    *,
    jobs: int = 1,
    timeout: int = 1800,
    progress: Callable[[list[Child]], None] = lambda running: None,
    ended: Callable[[str, dict], None] = lambda name, results: None,
) -> dict:
    """Execute notebooks, each in a process of its own, and return what stands in ``results.json``.

    Parameters
    ----------
    chosen : notebooks and their parameters, as `check` gives them.
    out : an empty folder, as `prepare` gives it.
    jobs : how many at once.
    timeout : seconds that a cell may take.
    progress : called a few times a second with what is running.
    ended : called with a notebook's name and the results so far whenever one has ended.
    """
    results, queue, running = _Results(chosen, out), list(chosen), []

    def end(child: Child, outcome: dict) -> None:
        results.add(child, outcome)
        ended(child.path.stem, results.content)

    with tempfile.TemporaryDirectory(prefix="workbench-") as scratch, terminable():
        _write_kernel(Path(scratch))
        try:
            while queue or running:
                gone = [child for child in running if child.process.poll() is not None]
                # The next starts before the page of the last is written: no core stands idle.
                while queue and len(running) - len(gone) < jobs:
                    running.append(_start(queue.pop(0), chosen, out, Path(scratch), jobs, timeout))
                for child in running:
                    child.update()
                progress([child for child in running if child not in gone])
                for child in gone:
                    end(child, {"error": _crash(child)})
                    running.remove(child)
                time.sleep(0.1)
        except KeyboardInterrupt:
            # A second Ctrl-C would leave kernels behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _kill_all(running)
            for child in running:
                child.update()
                end(child, {"status": "interrupted", "error": f"stopped in cell {child.cell}"})
        finally:
            _kill_all(running)
    return results.content


class _Results:
    """The content of ``results.json``, written anew whenever a notebook has ended."""

    def __init__(self, chosen: dict[Path, dict[str, object]], out: Path) -> None:
        self._started, self._out = time.monotonic(), out
        # Whatever has not ended is "interrupted", so that even a killed run leaves a true file.
        entries = {p.stem: _entry("interrupted", 0.0, "stopped before it ended") for p in chosen}
        self.content = files.plain({
            "parameters": _shared(chosen), "versions": folders.versions(), "seconds": 0.0,
            "notebooks": entries,
        })  # fmt: skip
        self._write()

    def add(self, child: Child, outcome: dict) -> None:
        name = child.path.stem
        outcome = {"status": "failed", "error": None} | outcome | child.update()
        entry = _entry(outcome["status"], child.seconds, outcome["error"])
        self.content["notebooks"][name] = entry | {"metrics": _metrics(self._out, name)}
        self.content["seconds"] = round(time.monotonic() - self._started, 1)
        self._write()

    def _write(self) -> None:
        files.write(self._out / "results.json", files.to_json(self.content))


def _kill_all(children: list[Child]) -> None:
    for child in children:
        # One that has ended may have passed its number on to a stranger.
        if child.process.poll() is None:
            kill(child.process.pid)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat a polite kill and a closed terminal like Ctrl-C; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    before = {s: signal.getsignal(s) for n in names if (s := getattr(signal, n, None))}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup means it
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(path: Path, chosen: dict, out: Path, scratch: Path, jobs: int, timeout: int) -> Child:
    job = {
        "source": str(path), "target": str(out / path.name), "parameters": chosen[path],
        "timeout": timeout, "cwd": str(out), "events": str(scratch / f"{path.stem}.jsonl"),
    }  # fmt: skip
    seed = (literals(read(path)) | chosen[path]).get("SEED") or 0
    variables = environment(
        jobs, WORKBENCH_RUNS=str(out / "runs"), PYTHONHASHSEED=str(seed),
        JUPYTER_PATH=str(scratch / "jupyter"), JUPYTER_RUNTIME_DIR=str(scratch / "runtime"),
    )  # fmt: skip
    with (scratch / f"{path.stem}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.runs.worker"],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends them all
        )
    with suppress(BrokenPipeError):  # one that died at once: its exit status says so
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
    return Child(path, process, Path(job["events"]), time.monotonic())


def _write_kernel(scratch: Path) -> None:
    """Name this very interpreter as the kernel; what ``python3`` resolves to may be another."""
    for package in ("papermill", "ipykernel"):
        if find_spec(package) is None:
            raise UserError(f"The package '{package}' is missing; run 'pip install {package}'.")
    # Without the history file two kernels never wait for each other's lock.
    options = ["--HistoryManager.enabled=False", "-f", "{connection_file}"]
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", *options],
        "display_name": "Python", "language": "python",
    }  # fmt: skip
    place = scratch / "jupyter" / "kernels" / KERNEL
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def _crash(child: Child) -> str:
    """What is known of a process that ended without logging a status."""
    log = child.events.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    last = (log.strip().splitlines() or ["no message; was memory short?"])[-1]
    return one_line(f"cell {child.cell}: the process ended ({child.process.returncode}): {last}")


def _entry(status: str, seconds: float, error: str | None) -> dict:
    return {"status": status, "seconds": round(seconds, 1), "error": error, "metrics": {}}


def _shared(chosen: dict[Path, dict[str, object]]) -> dict[str, object]:
    """The parameters of the whole run: what was given, and defaults on which all agree."""
    shared = {}
    for name in GENERAL:
        found = [literals(read(path)) | own for path, own in chosen.items()]
        values = [each[name] for each in found if name in each]
        if values and all(value == values[0] for value in values):
            shared[name] = values[0]
    return shared | {name: value for own in chosen.values() for name, value in own.items()}


def _metrics(out: Path, notebook: str) -> dict[str, dict]:
    """The scores of a notebook's runs, by model; a second run of a name gets a number."""
    found = {}
    for each in folders.list_runs(out / "runs"):
        if each.info["notebook"] == notebook:
            again = sum(each.name == name.partition(" #")[0] for name in found)
            name = f"{each.name} #{again + 1}" if again else each.name
            found[name] = files.plain(each.metrics) | {"run": f"runs/{each.path.name}"}
    return found
