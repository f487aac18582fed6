"""The project itself: one set of pins, no circles, a light import, notebooks in order."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from latex2mathml.converter import convert
from packaging.requirements import Requirement

from workbench.models import settings_of
from workbench.runs import report

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PINS = {
    Requirement(line).name.lower().replace("_", "-"): Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}


def requirements():
    extra = PROJECT["optional-dependencies"]["dev"]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extra]]


def test_every_dependency_is_pinned_inside_its_range():
    for requirement in requirements():
        pin = PINS[requirement.name.lower().replace("_", "-")]
        version = str(pin.specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} and {pin}"


def test_pins_are_exact_and_torch_is_the_one_to_be_had():
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in PINS.values())
    assert str(PINS["torch"].specifier) == "==2.13.0"
    assert "torch==2.13.0" in PROJECT["dependencies"]


def test_what_is_installed_is_what_is_pinned():
    for name, pin in PINS.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        assert pin.specifier.contains(installed.split("+")[0], prereleases=True), (
            f"{name} {installed}"
        )


def test_conda_takes_the_same_set():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda, pip = environment["dependencies"][:-1], environment["dependencies"][-1]["pip"]
    python = next(line for line in conda if line.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python[7:] + ".0")
    assert pip == ["--constraint constraints.txt", "--editable ."]


def test_every_import_is_a_declared_dependency():
    known = {
        "sklearn": "scikit-learn", "smart_open": "gensim", "huggingface_hub": "transformers",
        "tokenizers": "transformers", "yaml": "pyyaml",
        "IPython": "ipykernel", "traitlets": "ipykernel", "threadpoolctl": "scikit-learn",
    }  # fmt: skip
    declared = {r.name.lower() for r in requirements()}
    for path in (ROOT / "workbench").rglob("*.py"):
        for name in imported(path):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "workbench":
                assert known.get(top, top).replace("_", "-") in declared, f"{path.name}: {top}"


def imported(path: Path) -> set[str]:
    return imports_of(ast.parse(path.read_text()))


def imports_of(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_modules_import_each_other_without_circles():
    files = (p.relative_to(ROOT) for p in (ROOT / "workbench").rglob("*.py"))
    modules = {".".join(path.with_suffix("").parts): ROOT / path for path in files}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    edges = {name: imported(path) & set(modules) for name, path in modules.items()}
    done, waiting = set(), dict(edges)
    while free := [name for name, needs in waiting.items() if needs <= done]:
        done |= set(free)
        waiting = {name: needs for name, needs in waiting.items() if name not in done}
    assert not waiting, f"a circle among {sorted(waiting)}"


ROOMS = ["errors", "data", "training", "models", "evaluation", "runs", "widgets", "cli", "__main__"]


def test_each_room_imports_only_from_those_before_it():
    for path in (ROOT / "workbench").rglob("*.py"):
        room = path.relative_to(ROOT / "workbench").parts[0].removesuffix(".py")
        later = ROOMS[ROOMS.index(room) + 1 :] if room in ROOMS else ROOMS
        for name in imported(path):
            package, *rest = name.split(".")
            assert package != "workbench" or not {*rest[:1]} & {*later}, f"{path}: {name}"


def test_modules_and_functions_are_short():
    """What does not fit on a screen or in a head is cut; docstrings do not count as a body."""
    long = []
    for path in (ROOT / "workbench").rglob("*.py"):
        source = path.read_text()
        if (lines := source.count("\n")) > 300:
            long.append(f"{path.name}: {lines} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                doc = node.body[0] if ast.get_docstring(node) else None
                body = node.end_lineno - node.lineno - (doc.end_lineno - doc.lineno if doc else 0)
                if body > 40:
                    long.append(f"{path.name}: {node.name}, {body} lines")
    assert not long


def test_one_importer_each_of_papermill_and_ipywidgets():
    users = {
        package: [p.stem for p in (ROOT / "workbench").rglob("*.py") if package in imported(p)]
        for package in ("papermill", "ipywidgets")
    }
    assert users["papermill"] == ["worker"]
    assert users["ipywidgets"] == ["base"]


def test_a_short_name_is_the_module_in_its_room():
    from workbench.neural import TextClassifier

    import workbench
    from workbench import evaluate, plots, text
    from workbench.evaluation import plots as in_its_room

    assert plots is in_its_room
    assert text.__spec__.name == text.__name__ == "workbench.data.text"
    assert evaluate is workbench.evaluation
    assert TextClassifier.__module__ == "workbench.models.encoder_classifier"


def test_every_face_gives_what_it_names():
    for face in sorted((ROOT / "workbench").glob("*/__init__.py")):
        room = importlib.import_module(f"workbench.{face.parent.name}")
        assert all(getattr(room, name) is not None for name in room.__all__), face


def test_importing_the_package_is_light():
    code = "import sys, workbench; print(sorted({'torch','pandas','numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "data.text", "training.history", "data.loading", "models.catalogue", "evaluation.scores",
        "runs.folders", "evaluation.plots", "widgets.pickers", "widgets.panel", "widgets.browser",
        "widgets.tryit", "widgets.switchboard",
    ],
)  # fmt: skip
def test_torch_is_imported_only_where_it_is_used(module):
    code = f"import sys, workbench.{module}; print({{'torch', 'ipywidgets'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- notebooks -----------------------------------------------------------------------------------


def cells(path: Path, tag: str) -> list:
    return [c for c in nbformat.read(path, 4).cells if tag in c.metadata.get("tags", [])]


def test_the_sequence_is_complete():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_preprocessing", "02_word2vec", "03_perceptron", "04_bert_finetuning",
        "05_domain_adaptation", "06_evaluation", "07_beyond_classification",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_keep_the_form(path):
    code = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    lines = sorted(len(c.source.splitlines()) for c in code)
    assert lines[-1] <= 20, "a cell has one idea"
    assert lines[len(lines) // 2] <= 6, "half of the cells are short"
    (parameters,) = cells(path, "parameters")
    values = [n for n in ast.parse(parameters.source).body if isinstance(n, ast.Assign)]
    assert all(ast.literal_eval(n.value) is not None for n in values)
    names = {n.targets[0].id for n in values}
    assert {"DATA", "PROFILE", "SEED", "TEXT_COLUMN", "LABEL_COLUMN"} <= names
    assert 4 <= len(values) <= 12


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_widget_comes_before_the_imports(path):
    parameters, picker, *_ = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    assert "parameters" in parameters.metadata.tags
    assert "widgets.DataPicker(" in picker.source
    assert imports_of(ast.parse(picker.source)) == {"workbench", "workbench.widgets"}


def modules_loaded_by(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules, sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n"))


def test_a_data_picker_is_shown_without_what_trains():
    loaded = modules_loaded_by(
        "from workbench import widgets; widgets.DataPicker('reviews').still()"
    )
    assert "workbench.widgets.data_picker" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "sklearn", "gensim"})


def own_imports(cells: list) -> tuple[ast.AST, dict[str, object]]:
    """The code of a notebook, and what it takes from the package by name."""
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree, names = compile(source, "notebook", "exec", flags), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "workbench":
            exec(ast.unparse(node), names)
    return tree, names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_name_of_the_package_in_a_notebook_exists(path):
    """`module.attribute`, in the code and between backticks in the prose."""
    found = nbformat.read(path, 4).cells
    tree, names = own_imports(found)
    named = {(n.value.id, n.attr) for n in ast.walk(tree)
             if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}  # fmt: skip
    prose = "\n".join(cell.source for cell in found if cell.cell_type == "markdown")
    named |= set(re.findall(r"`(?:workbench\.)?(\w+)\.(\w+)", prose))
    own = sorted((name, attribute) for name, attribute in named if name in names)
    assert len(own) > 10
    missing = [f"{name}.{each}" for name, each in own if not hasattr(names[name], each)]
    assert not missing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_notebook_variable_hides_a_module(path):
    tree, names = own_imports(nbformat.read(path, 4).cells)
    assigned = {n.id for n in ast.walk(tree)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
    assert assigned.isdisjoint(names), sorted(assigned.intersection(names))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_exercise_has_its_check_and_its_solution(path):
    exercises, checks, solutions = (cells(path, t) for t in ("exercise", "check", "solution"))
    assert len(exercises) == len(checks) == len(solutions) >= 3
    for number, (check, solution) in enumerate(zip(checks, solutions, strict=True), 1):
        assert f"check_{number}(answer_{number})" in check.source
        assert re.search(rf"^assert check_{number}\(answer_{number}\)", solution.source, re.M)
        assert re.search(rf"^assert not check_{number}\(", solution.source, re.M)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_formula_and_picture_is_shown_without_a_network(path):
    """A command that the report does not know would stand there with its backslash."""
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            for found in report.FORMULA.finditer(cell.source):
                if latex := found["block"] or found["inline"]:
                    assert not re.search(r"\\|<mi>&<", convert(latex)), latex
            assert not re.search(r"\\\(|\\\[|<img|<svg", cell.source), cell.source[:80]
            for name in re.findall(r"!\[.*?\]\((.*?)\)", cell.source):
                assert name.removeprefix("attachment:") in cell.get("attachments", {}), name


def test_off_is_every_switch_of_a_network_in_notebook_03():
    """A setting that the networks get is a switch, to be turned off there, or is listed here."""
    no_switches = {
        "vectors", "size", "hidden", "min_count", "epochs", "learning_rate", "batch_size",
        "max_length", "optimizer", "precision", "checkpoints", "report_to", "seed",
    }  # fmt: skip
    (cell,) = [c for c in nbformat.read(NOTEBOOKS[2], 4).cells if "\nOFF = {" in c.source]
    (off,) = (ast.literal_eval(node.value) for node in ast.parse(cell.source).body
              if isinstance(node, ast.Assign) and node.targets[0].id == "OFF")  # fmt: skip
    assert {*settings_of("cnn")} - no_switches == {*off}
    assert off.pop("schedule") == "constant"
    assert not any(off.values())


def test_predicting_and_encoding_do_not_load_the_trainer():
    loaded = modules_loaded_by(
        "from workbench import encoders; encoders.encode(['a text']);"
        "from workbench.training import inference"
    )
    assert "workbench.training.inference" in loaded
    assert "transformers.trainer" not in loaded
