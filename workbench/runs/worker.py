"""One notebook in a process of its own: papermill executes what the parent describes."""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workbench.runs.notebooks import read

KERNEL = "workbench"
START_SECONDS = 180
STARTS = 3


def main() -> None:
    """Execute the notebook that the parent describes on the standard input."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def log(**event) -> None:
        with Path(job["events"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    status, error = _execute(job, log)
    log(status=status, error=error)


def _end_with_parent() -> None:
    # The pipe closes when the parent is gone, however it went.
    sys.stdin.read()
    kill(os.getpid(), itself=False)
    os._exit(1)


def kill(pid: int, itself: bool = True) -> None:
    """End a process and all that it started: kernels have sessions of their own."""
    import psutil

    try:
        process = psutil.Process(pid)
        if itself:
            # Stopped first, it cannot start a kernel between the look and the kill.
            process.suspend()
        tree = process.children(recursive=True) + [process] * itself
    except psutil.NoSuchProcess:
        return
    for each in tree:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(tree, timeout=5)


def environment(at_once: int, **added: str) -> dict[str, str]:
    """For one of so many processes, which share the cores and find this very package."""
    added |= {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    if at_once > 1:
        cores = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        added["OMP_NUM_THREADS"] = str(max(1, cores // at_once))
    package = Path(__file__).resolve().parents[2]
    if package.name not in ("site-packages", "dist-packages"):
        # A clone that was not installed: processes run elsewhere and must find the package.
        paths = [str(package), os.environ.get("PYTHONPATH", "")]
        added["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return os.environ | added


def _execute(job: dict, log: Callable) -> tuple[str, str | None]:
    """Status and error of one notebook; `log` gets the number of each code cell that begins."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    code = [c for c in read(Path(job["source"])).cells if c.cell_type == "code"]
    # Papermill adds a cell with the parameters.
    cells = sum(bool(c.source.strip()) for c in code) + bool(job["parameters"])
    cell = 0

    def count(**_) -> None:
        nonlocal cell
        cell += 1  # as in the In [n] of the executed notebook
        log(cell=cell, cells=cells)

    try:
        _call_papermill(job, count, begun=lambda: cell > 0)
        return "passed", None
    except PapermillExecutionError as error:
        what = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        return "timeout", f"cell {cell}: took longer than {job['timeout']} seconds"
    except DeadKernelError:
        what = "the kernel died; was memory short?"
    except OSError as error:
        what = f"the notebook cannot be written: {error.strerror or error}"
    except Exception as error:  # whatever else stops a kernel is this notebook's failure alone
        what = f"{type(error).__name__}: {error}"
    return "failed", one_line(f"cell {cell}: {what}")


def _call_papermill(job: dict, count: Callable, begun: Callable[[], bool]) -> None:
    from papermill import execute_notebook

    for attempt in range(1, STARTS + 1):
        try:
            execute_notebook(
                _braced(job["source"]), _braced(job["target"]), job["parameters"],
                kernel_name=KERNEL, language="python", cwd=job["cwd"], progress_bar=False,
                execution_timeout=job["timeout"], start_timeout=START_SECONDS,
                # What papermill does not know itself goes on to nbclient.
                on_cell_execute=count, store_widget_state=False, shutdown_kernel="immediate",
            )  # fmt: skip
            return
        except RuntimeError:
            # A kernel that does not start has run nothing yet: two kernels that start at once may
            # have picked the same port. Starting it again is safe.
            if begun() or attempt == STARTS:
                raise


def _braced(path: str) -> str:
    # Papermill fills parameters into {braces} of a path; a folder may be called that.
    return path.replace("{", "{{").replace("}", "}}")


def one_line(text: str) -> str:
    """An error without colours and line breaks, cut to a readable length."""
    from nbconvert.filters import strip_ansi

    return " ".join(strip_ansi(text).split())[:500]


if __name__ == "__main__":
    main()
