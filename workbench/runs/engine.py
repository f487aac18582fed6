"""Where the runs of a sweep are done: processes of this machine, or Ray."""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from workbench.errors import UserError
from workbench.runs import folders, jobs, plan, work
from workbench.runs.plan import Job
from workbench.runs.worker import environment, kill

MIB = 2**20
SPARE = 0.8  # the share of this machine's memory that runs may take together


class Processes:
    """So many processes of this machine, which start once and do one group after another."""

    def __init__(self, out: Path, at_once: int) -> None:
        import psutil

        self.out, self.at_once = out, at_once
        self.memory = SPARE * psutil.virtual_memory().total / MIB
        self._events: queue.Queue = queue.Queue()
        self._idle: list[subprocess.Popen] = []
        self._busy: dict[subprocess.Popen, tuple[list[Job], float]] = {}

    def has_room(self, memory: float) -> bool:
        """Whether a group that takes so many MiB can start now; one alone always can."""
        taken = sum(needed for _, needed in self._busy.values())
        room = not self._busy or taken + memory <= self.memory
        return len(self._busy) < self.at_once and room

    def start(self, group: list[Job], memory: float) -> None:
        """Begin a group; the process reads each data set once."""
        process = self._idle.pop() if self._idle else self._process()
        self._busy[process] = (group, memory)
        with suppress(BrokenPipeError):  # one that died at once: its listener says so
            process.stdin.write(work.order(group, self.out).encode())
            process.stdin.flush()

    def ended(self, seconds: float) -> list[dict]:
        """What the next group that ends has to say, waited for so long."""
        try:
            process, answer = self._events.get(timeout=seconds)
        except queue.Empty:
            return []
        group, _ = self._busy.pop(process, ([], 0))
        if answer is not None:
            self._idle.append(process)
            return answer
        self._idle = [each for each in self._idle if each is not process]
        error = f"its process ended ({process.wait()}); was memory short?"
        return [{"key": job.key, "seconds": 0.0, "error": error} for job in group]

    def close(self) -> None:
        """End every process and what it has started."""
        for process in [*self._idle, *self._busy]:
            if process.poll() is None:
                kill(process.pid)
            process.wait()
        shutil.rmtree(self.out / "vectors", ignore_errors=True)

    def _process(self) -> subprocess.Popen:
        variables = environment(
            self.at_once, WORKBENCH_VECTORS=str(self.out / "vectors"),
            WORKBENCH_COMMIT=folders.git_revision() or "",
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.runs.work"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends them all
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            self._events.put((process, json.loads(line)))
        self._events.put((process, None))


class Cluster:
    """Ray: on this machine, ended with the sweep, or a cluster by its address.

    Each run is a task that asks for its memory, a CPU (an encoder for up to four) and, where there
    are any, a GPU. Ray starts a task again when its machine is lost. Tables travel once to each
    machine, and results come back through Ray: no folder has to be shared.

    Raises
    ------
    UserError : Ray is not installed, or does not answer at that address.
    """

    def __init__(self, out: Path, address: str = "") -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError("Ray is missing: pip install 'nlp-transfer-workbench[ray]'.") from error
        self.ray, self.out = ray, out
        # Without an address Ray would join whatever cluster was left running here.
        more = {} if address else {"include_dashboard": False}
        vectors = Path(tempfile.gettempdir(), f"workbench-vectors-{out.name}")  # of each machine
        given = environment(1, WORKBENCH_VECTORS=str(vectors))
        variables = {name: value for name, value in given.items() if name in VARIABLES}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR",
                     runtime_env={"env_vars": variables}, **more)  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"No Ray cluster answers at '{address}'.") from error
        self._tables: dict[str, object] = {}
        self._groups: dict = {}
        self._task = ray.remote(max_retries=3)(_away)

    def has_room(self, memory: float) -> bool:
        """Whether Ray has less than twice the tasks that its CPUs can do."""
        return len(self._groups) < 2 * max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def start(self, group: list[Job], memory: float) -> None:
        """Hand a group to Ray, and its tables where they are not there yet."""
        source = json.dumps(group[0].data)
        if source not in self._tables:
            self._tables[source] = self.ray.put(plan.load(group[0].data) if group[0].data else {})
        total = self.ray.cluster_resources()
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        largest = {name: max(node.get(name, 0) for node in nodes) for name in ("CPU", "memory")}
        heavy = jobs.is_neural(group[0])
        task = self._task.options(
            num_cpus=min(4 if heavy else 1, largest["CPU"]),
            num_gpus=1 if heavy and total.get("GPU") else 0,
            memory=int(min(memory * MIB, SPARE * largest["memory"])),
        )  # fmt: skip
        self._groups[task.remote(group, self._tables[source], self.out)] = group

    def ended(self, seconds: float) -> list[dict]:
        """As of `Processes`; the folders that came back are written here."""
        done, _ = self.ray.wait([*self._groups], timeout=seconds)
        if not done:
            return []
        group = self._groups.pop(done[0])
        try:
            answers, packed = self.ray.get(done[0])
            work.unpack(packed, self.out)
            return answers
        except (self.ray.exceptions.RayError, OSError) as error:
            found = {"seconds": 0.0, "error": str(error).strip().splitlines()[0][:200]}
            return [{"key": job.key, **found} for job in group]

    def close(self) -> None:
        """Stop the tasks that are still running; end Ray where it was started here."""
        for task in self._groups:
            self.ray.cancel(task, force=True)
        self.ray.shutdown()


VARIABLES = "PYTHONPATH", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY", "WORKBENCH_VECTORS"


def _away(group: list[Job], frames: dict, home: Path) -> tuple[list[dict], bytes]:
    """`work.perform` in a folder that is packed and sent back."""
    with tempfile.TemporaryDirectory() as folder:
        answers = work.perform(group, frames, Path(folder), home)
        return answers, work.pack(Path(folder))
