"""A real JupyterLab in a real Chromium, driven as a person would, with no network.

    from tests.browser.lab import Lab

    with Lab.start() as lab:                                    # or Lab.start("some/folder")
        notebook = lab.open(["x = 1", "import ipywidgets as w\\nw.Button(description='Go')"])
        notebook.run_all()                                      # waits; wait=False does not
        notebook.button(1, "Go").click()                        # Playwright locators inside a cell
        notebook.wait_for(lambda: "done" in notebook.text(1))   # or a JavaScript expression
        assert notebook.errors() == [] and lab.complaints() == []

        notebook = lab.open(ROOT / "notebooks" / "04_bert_finetuning.ipynb", {"PROFILE": "smoke"})
        notebook.run("ModelPicker")       # a cell: its number, its tag, or a piece of its source
        notebook.points("TrainingPanel")  # of the first curve of the first chart in its output

From the root of the project: ``PYTHONPATH=. python script.py``. Each `Notebook` is a page (a tab of
the browser) of its own. ``notebook.page`` is Playwright's page and ``notebook.output(cell)`` its
locator of what a cell shows, for whatever has no method here:
``notebook.output(3).get_by_label("Epochs").fill("3")``. What was saved to disk is
``notebook.outputs(cell)``.

Server, kernels and browser have folders of their own: nothing of the user's is read or written.
"""

import ast
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from json import dumps
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[2]
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True,
    },
    # Every cell is in the page, also those that are scrolled away.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}  # fmt: skip

# anywidget gives a widget two seconds to load, which are few while other tests run.
PATIENT = """{
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = ms => timeout(10 * ms);
}"""


# A proxy that the environment names is not for this machine.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answer(url: str, token: str = "") -> int:
    """The HTTP status of an address; 0 where nobody listens."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    try:
        with direct(request if token else url, timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def environment(scratch: Path) -> dict[str, str]:
    """That of a server whose settings, kernels and histories lie in `scratch` and end with it."""
    kernel = scratch / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(dumps(spec))
    defaults = scratch / "config" / "labconfig" / "default_setting_overrides.json"
    defaults.parent.mkdir(parents=True)
    defaults.write_text(dumps(SETTINGS))
    folders = {
        "JUPYTER_PATH": "jupyter", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    paths = [ROOT / "tests" / "offline", ROOT, os.environ.get("PYTHONPATH", "")]
    return (
        {k: v for k, v in os.environ.items() if k != "WORKBENCH_RUNS"}
        | {name: str(scratch / folder) for name, folder in folders.items()}
        | {"PYTHONPATH": os.pathsep.join(str(p) for p in paths if str(p))}
    )


@contextmanager
def serving(command: list[str], port: int, **options) -> Iterator[subprocess.Popen]:
    """A server that answers on `port` inside of the block, and has ended after it."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, **options)
        try:
            deadline = time.monotonic() + 120
            while not answer(f"http://127.0.0.1:{port}/api"):
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"no JupyterLab: {log.read().decode()[-2000:]}")
                time.sleep(0.2)
            yield server
        finally:
            server.terminate()  # it ends its kernels
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


class Lab:
    """A JupyterLab with a browser; `requests` that wanted to leave this machine are listed."""

    def __init__(self, folder: Path, url: str, token: str, context):
        self.folder, self.url, self.token, self.context = folder, url, token, context
        self.requests: list[str] = []
        self.messages: list[str] = []
        outside = re.compile(rf"^(?!(http|ws)://127\.0\.0\.1:{url.rsplit(':', 1)[1]}/)")
        context.add_init_script(PATIENT)
        context.route(outside, self._refuse)
        # JupyterLab draws the name of an attached picture before the picture: no request leaves.
        context.route(re.compile("^attachment:"), lambda route: route.fulfill(body=b""))
        context.route_web_socket(outside, lambda ws: self.requests.append(ws.url))

    @classmethod
    @contextmanager
    def start(cls, folder: str | Path | None = None, headless: bool = True) -> Iterator["Lab"]:
        """A server on `folder` (or on an empty one that is removed at the end) and a browser."""
        from playwright.sync_api import sync_playwright

        with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as place:
            scratch = Path(place)
            folder = Path(folder or scratch / "notebooks").resolve()
            folder.mkdir(parents=True, exist_ok=True)
            port, token = free_port(), secrets.token_hex(16)
            command = [
                sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
                "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
                "--LabApp.expose_app_in_browser=True",
            ]  # fmt: skip
            with (
                serving(command, port, env=environment(scratch), cwd=folder),
                sync_playwright() as playwright,
                playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=CHROMIUM, headless=headless,
                    env=os.environ | {"XDG_CONFIG_HOME": place, "XDG_CACHE_HOME": place},
                ) as browser,
            ):  # fmt: skip
                context = browser.new_context(
                    viewport={"width": 1300, "height": 900}, service_workers="block"
                )
                yield cls(folder, f"http://127.0.0.1:{port}", token, context)
                context.close()

    def _refuse(self, route) -> None:
        self.requests.append(route.request.url)
        route.abort()

    def complaints(self) -> list[str]:
        """Errors in the browser's console, exceptions in its pages and requests to elsewhere."""
        return self.messages + [f"request to {url}" for url in self.requests]

    def end_kernels(self) -> None:
        """End what runs on the server."""
        headers = {"Authorization": f"token {self.token}"}
        sessions = self.context.request.get(f"{self.url}/api/sessions", headers=headers).json()
        for session in sessions:
            self.context.request.delete(f"{self.url}/api/sessions/{session['id']}", headers=headers)

    def open(
        self, source: Path | list, parameters: dict | None = None, *, theme: str = "Light",
        name: str = "",
    ) -> "Notebook":  # fmt: skip
        """Write a notebook into the folder and open it, with a kernel of its own.

        Parameters
        ----------
        source : cells (sources of code, or nbformat's cells), or the path of a notebook.
        parameters : new values for names that the cell tagged ``parameters`` assigns.
        theme : ``"Light"`` or ``"Dark"``.
        name : of the copy, without its suffix.
        """
        if isinstance(source, list):
            cells = [new_code_cell(c) if isinstance(c, str) else c for c in source]
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            document = new_notebook(cells=cells, metadata={"kernelspec": kernel})
            name = name or f"cells-{secrets.token_hex(3)}"
        else:
            document, name = nbformat.read(source, as_version=4), name or Path(source).stem
        _set(document, parameters or {})
        path = self.folder / f"{name}.ipynb"
        nbformat.write(document, path)
        return self.reopen(path, theme)

    def reopen(self, path: Path, theme: str = "Light") -> "Notebook":
        """A notebook of the folder as it lies there, in a new page."""
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.messages.append(f"exception: {error}"))
        workspace = secrets.token_hex(3)
        place = path.relative_to(self.folder).as_posix()
        page.goto(f"{self.url}/lab/workspaces/{workspace}/tree/{place}?token={self.token}")
        notebook = Notebook(self, page, path)
        notebook.ready()
        notebook.show_in(theme)  # the server remembers the last one
        return notebook

    def _hear(self, message) -> None:
        if message.type == "error":
            place = (message.location or {}).get("url", "")
            self.messages.append(f"console: {message.text} ({place})")


def _set(document, parameters: dict) -> None:
    tagged = (c for c in document.cells if "parameters" in c.metadata.get("tags", []))
    for cell in tagged if parameters else ():
        lines, left = cell.source.splitlines(), dict(parameters)
        for node in reversed(ast.parse(cell.source).body):
            name = node.targets[0].id if isinstance(node, ast.Assign) else None
            if name in left:
                value = left.pop(name)
                lines[node.lineno - 1 : node.end_lineno] = [f"{name} = {value!r}"]
        assert not left, f"no such parameters: {sorted(left)}"
        cell.source = "\n".join(lines)


class Notebook:
    """One notebook in a page; a cell is named by its number, its tag or a piece of its source."""

    def __init__(self, lab: Lab, page, path: Path):
        self.lab, self.page, self.path = lab, page, path

    def js(self, expression: str, arg: object = None) -> object:
        """The value of a JavaScript expression; it may use `panel`, `notebook`, `kernel`, `arg`."""
        return self.page.evaluate(_function(expression), arg)

    def ready(self) -> None:
        """Wait until the notebook is drawn and its kernel answers."""
        self.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context")
        self.js("panel.context.ready.then(() => panel.sessionContext.ready)")
        self.wait_for("kernel?.status === 'idle' && kernel.connectionStatus === 'connected'")

    def show_in(self, theme: str) -> None:
        """Light or Dark."""
        drawn = f"document.body.dataset.jpThemeName === 'JupyterLab {theme}'"
        if not self.js(drawn):
            change = "jupyterapp.commands.execute('apputils:change-theme', {theme: arg})"
            self.js(change, f"JupyterLab {theme}")
            self.wait_for(drawn)

    # --- running ---------------------------------------------------------------------------------

    def index(self, cell: int | str) -> int:
        """The number of the first cell with this tag or, failing that, with this in its source."""
        if isinstance(cell, int):
            return cell
        cells = nbformat.read(self.path, as_version=4).cells
        tagged = [i for i, c in enumerate(cells) if cell in c.metadata.get("tags", [])]
        found = tagged or [i for i, c in enumerate(cells) if cell in c.source]
        assert found, f"no cell with {cell!r} in {self.path.name}"
        return found[0]

    def run(self, cell: int | str, *, wait: bool = True, timeout: float = 120) -> None:
        """Run one cell as Shift-Enter does, and wait until it has ended."""
        self.js("{ notebook.activeCellIndex = arg; notebook.deselectAll() }", self.index(cell))
        self._execute("notebook:run-cell", wait, timeout)

    def run_all(self, *, wait: bool = True, timeout: float = 600) -> None:
        """Menu Run, Run All Cells; with ``wait`` until the last has ended."""
        self._execute("notebook:run-all-cells", wait, timeout)

    def _execute(self, command: str, wait: bool, timeout: float) -> None:
        start = "window.busy = (window.busy ?? 0) + 1; const done = () => { window.busy -= 1 };"
        self.js(f"{{ {start} jupyterapp.commands.execute(arg).then(done, done) }}", command)
        if wait:
            self.idle(timeout)

    def idle(self, timeout: float = 120) -> None:
        """Wait until nothing that was started here runs any more."""
        self.wait_for("!window.busy && kernel?.status === 'idle'", timeout)

    def wait_for(self, condition: str | Callable[[], object], timeout: float = 60) -> object:
        """Wait until a JavaScript expression, or a Python function, has a true value: return it."""
        deadline = time.monotonic() + timeout
        while not (value := condition() if callable(condition) else self.js(condition)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s: {condition}; {self.lab.complaints()}")
            self.page.wait_for_timeout(50)
        return value

    def passes(self, check: Callable[[], None], timeout: float = 30) -> None:
        """Repeat assertions until they hold: an output that is drawn anew is gone for a moment."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return check()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            self.page.wait_for_timeout(100)

    def interrupt(self) -> None:
        """The button with the square."""
        self.js("kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel, without the question; what the cells show stays."""
        self.js("panel.sessionContext.restartKernel()")
        self.ready()

    # --- looking ---------------------------------------------------------------------------------

    def output(self, cell: int | str):
        """The locator of what a cell shows."""
        cells = self.page.locator(".jp-Notebook .jp-Cell")
        return cells.nth(self.index(cell)).locator(".jp-Cell-outputArea")

    def text(self, cell: int | str) -> str:
        """What can be read in the output of a cell."""
        shown = self.output(cell).locator("> .jp-OutputArea-child > .jp-OutputArea-output")
        return "\n".join(shown.filter(visible=True).all_inner_texts())

    def button(self, cell: int | str, name: str):
        """The locator of a button in a cell's output."""
        return self.output(cell).get_by_role("button", name=name)

    def choose(self, cell: int | str, label: str, option: str) -> None:
        """Select an option of a dropdown or a list."""
        self.output(cell).get_by_label(label).select_option(option)

    def type(self, cell: int | str, label: str, text: str) -> None:
        """Replace the text of a field, and leave it as the tabulator key does."""
        field = self.output(cell).get_by_label(label).first
        field.fill(text)
        field.press("Tab")

    def upload(self, cell: int | str, name: str, file: Path) -> None:
        """Press an upload button and choose a file."""
        with self.page.expect_file_chooser() as chooser:
            self.button(cell, name).click()
        chooser.value.set_files(file)

    def points(self, cell: int | str, trace: int = 0, chart: int = 0) -> int:
        """How many points of a curve are drawn; 0 where there is none (yet)."""
        if charts := self.output(cell).locator(".js-plotly-plot").all()[chart:]:
            return charts[0].evaluate("(gd, n) => gd.calcdata?.[n]?.length ?? 0", trace)
        # A reopened notebook shows the picture that was saved until the mouse comes near it.
        for picture in self.output(cell).locator("img.plot-img[src]").all():
            picture.dispatch_event("mouseenter")
        return 0

    def shot(self, cell: int | str, name: str) -> Path:
        """A picture of a cell's output, in the folder WORKBENCH_SHOTS or beside the notebook."""
        folder = Path(os.environ.get("WORKBENCH_SHOTS") or self.lab.folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        self.output(cell).screenshot(path=path, animations="disabled")
        return path

    # --- what lies on the disk -------------------------------------------------------------------

    def save(self) -> Path:
        """Menu File, Save."""
        self.js("jupyterapp.commands.execute('docmanager:save')")
        return self.path

    def outputs(self, cell: int | str) -> list:
        """The outputs of a cell as they are saved."""
        return nbformat.read(self.save(), as_version=4).cells[self.index(cell)].outputs

    def errors(self) -> list[str]:
        """The cells that failed, with their errors."""
        cells = nbformat.read(self.save(), as_version=4).cells
        return [
            f"cell {i}: {o.ename}: {o.evalue}"
            for i, c in enumerate(cells)
            for o in c.get("outputs", [])
            if o.output_type == "error"
        ]

    def close(self) -> None:
        """Save, end the kernel and close the page."""
        self.save()
        self.js("panel.sessionContext.shutdown()")
        self.page.close()

    def reopened(self) -> "Notebook":
        """Closed, and opened again in a new page with a new kernel."""
        self.close()
        return self.lab.reopen(self.path)


def _function(expression: str) -> str:
    """Statements in braces stay as they are; anything else is a value."""
    body = expression if expression.lstrip().startswith("{") else f"return ({expression});"
    names = (
        "const panel = window.jupyterapp?.shell.currentWidget;"
        "const notebook = panel?.content, kernel = panel?.sessionContext?.session?.kernel;"
    )
    return f"(arg) => {{ {names} {body} }}"
