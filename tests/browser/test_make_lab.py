"""`make lab`: the notebooks, this environment's kernel, a token, and nobody else's machine."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from jupyter_client import BlockingKernelClient

from tests.browser.lab import ROOT, answer, direct, environment, free_port, serving


def call(url: str, token: str, body: dict | None = None) -> dict:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Authorization": f"token {token}"})
    with direct(request, timeout=30) as reply:
        return json.load(reply)


def other_python3(folder: Path) -> None:
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True, exist_ok=True)
    argv = ["/bin/false", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Other", "language": "python"}))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The command of the Makefile as a running server: its address, token and process."""
    scratch, port = tmp_path_factory.mktemp("made"), free_port()
    # As on a machine where other environments have left kernels of this name.
    variables = environment(scratch)
    other_python3(Path(variables["JUPYTER_DATA_DIR"]))
    other_python3(Path(variables["JUPYTER_PATH"]))
    make = ["make", "-n", "--no-print-directory", "-o", f"{sys.prefix}/.ready"]
    recipe = subprocess.run(
        [*make, "lab", f"VENV={sys.prefix}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    recipe = f"exec env {recipe.strip()} --no-browser --allow-root --port={port}"
    with serving(["sh", "-c", recipe], port, env=variables, cwd=ROOT) as server:
        (told,) = Path(variables["JUPYTER_RUNTIME_DIR"]).glob("jpserver-*.json")
        yield json.loads(told.read_text()), server, Path(variables["JUPYTER_RUNTIME_DIR"])


def test_it_asks_for_a_token(made):
    told, _, _ = made
    assert len(told["token"]) >= 40
    assert answer(told["url"] + "api/contents") == 403
    assert answer(told["url"] + "api/contents", "wrong") == 403
    assert answer(told["url"] + "api/contents", told["token"]) == 200


def test_it_listens_to_this_machine_alone(made):
    told, server, _ = made
    sockets = psutil.Process(server.pid).net_connections("inet")
    heard = {s.laddr for s in sockets if s.status == psutil.CONN_LISTEN}
    assert ("127.0.0.1", told["port"]) in heard
    assert {address.ip for address in heard} == {"127.0.0.1"}


def test_it_shows_the_notebooks(made):
    told, _, _ = made
    listed = call(told["url"] + "api/contents", told["token"])["content"]
    assert {p.name for p in ROOT.glob("notebooks/*.ipynb")} <= {entry["name"] for entry in listed}


def test_python3_is_the_interpreter_of_this_environment(made):
    told, _, runtime = made
    kernel = call(told["url"] + "api/kernels", told["token"], {"name": "python3"})
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel['id']}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        asked = {"which": "__import__('sys').executable"}
        reply = client.execute("", user_expressions=asked, reply=True, timeout=30)
        found = reply["content"]["user_expressions"]["which"]["data"]["text/plain"]
        assert found.strip("'") == sys.executable
    finally:
        client.stop_channels()


def test_the_notebooks_ask_for_python3():
    for path in ROOT.glob("notebooks/*.ipynb"):
        spec = json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]
        assert spec["name"] == "python3", path.name
