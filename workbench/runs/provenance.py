"""What a run was made with, in what two runs differ, and the call that makes a run again."""

import hashlib
import shlex
from contextlib import suppress

import pandas as pd

from workbench import data, models
from workbench.data.columns import plain_names
from workbench.errors import UserError, first_line, taking_notes
from workbench.files import plain
from workbench.runs import notebooks
from workbench.runs.folders import Run, versions

ORIGIN = (
    "source", "text_column", "label_column", "label_names", "seed", "limit", "sample_seed",
)  # fmt: skip
UNKNOWN = "unknown"
FREE = ("name", "notes", "time", "seconds", "test_set")  # no part of a configuration


def describe_data(
    train: pd.DataFrame | None = None, validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
) -> dict:  # fmt: skip
    """What is needed to find the same rows again, and a digest that tells whether they are.

    Parameters
    ----------
    train, validation, test : frames with the columns text and label, as of `data.frames`.

    Returns
    -------
    dict : ``source``, the other arguments of `data.load` and `data.frames` where they are known,
        ``rows`` of each split, and ``digest`` of all of them. The source of a frame that was not
        loaded by `data.load` is ``"unknown"``.
    """
    splits = {"train": train, "validation": validation, "test": test}
    splits = {name: table for name, table in splits.items() if table is not None}
    attrs = next(iter(splits.values())).attrs
    digests = [f"{name} {data.digest(_named(table))}" for name, table in splits.items()]
    return {"source": UNKNOWN} | {key: attrs[key] for key in ORIGIN if key in attrs} | {
        "rows": {name: len(table) for name, table in splits.items()},
        "digest": hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16],
    }  # fmt: skip


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Id, text and label as strings; a row without an id has its number."""
    table = table.reset_index(drop=True)
    if "tokens" in table:  # as `evaluate_tags` writes them
        table = table.assign(text=table["tokens"].map(" ".join), label=table["tags"].map(" ".join))
    numbers = pd.Series(range(len(table))).map(str)
    ids = plain_names(table["id"]).reindex(table.index) if "id" in table else numbers
    label = plain_names(table["label"]).reindex(table.index)
    return pd.DataFrame({
        "id": ids.fillna(numbers), "text": table["text"].astype(str), "label": label.fillna(""),
    })  # fmt: skip


def configuration(run: Run) -> pd.Series:
    """Everything in ``run.json``; ``data.rows.train`` is what stands there inside of two others."""
    return pd.json_normalize(run.info).astype(object).iloc[0].rename(run.path.name)


def differences(a: Run, b: Run) -> pd.DataFrame:
    """The entries of two `configuration` that differ, a row an entry, with the columns A and B."""
    both = pd.DataFrame({"A": configuration(a), "B": configuration(b)}, dtype=object)
    both = both.drop(index=[name for name in FREE if name in both.index])
    # As strings: a list is one value, and what one of the two lacks is no value.
    return both[both.map(str)["A"] != both.map(str)["B"]].sort_index()


def repeat(run: Run) -> str:
    """The call that makes a run again: a command for one of a notebook, else lines of Python.

    Settings and parameters that have their defaults are left out.
    """
    if run.info["settings"] and "train" in run.info["data"].get("rows", {}):
        return _python(run)
    if run.info["notebook"]:
        return _command(run)
    return "# It was not written down how this run was made."


def obstacles(run: Run) -> list[str]:
    """Sentences on why a repeat would give other numbers; the data are read again to see it."""
    found, described = [], run.info["data"]
    if run.info["stopped"]:
        found.append("It was stopped before its end: a repeat trains to the end.")
    if described.get("source", UNKNOWN) == UNKNOWN:
        found.append("Its rows came from a table in memory: where that is from is not known.")
    elif sentence := _changed(described):
        found.append(sentence)
    before, now = run.info["versions"], versions()
    other = [f"{n} {v} (here {now.get(n, 'none')})" for n, v in before.items() if now.get(n) != v]
    if other:
        found.append(f"It was made with other versions: {', '.join(other)}.")
    return found


def _changed(described: dict) -> str:
    """Why the rows cannot be had again; empty where they can."""
    source = described["source"]
    load, sample = _arguments(described)
    try:
        with taking_notes():
            tables = data.frames(data.load(**load), **sample)
    except UserError as error:
        return f"Its data cannot be read: {first_line(error)}."
    named = dict(zip(("train", "validation", "test"), tables, strict=True))
    if describe_data(**{n: named[n] for n in described["rows"]})["digest"] == described["digest"]:
        return ""
    return (
        f"'{source}' gives other rows than the run had: it has changed since, or rows were chosen "
        "after it was read."
    )


def _arguments(described: dict) -> tuple[dict, dict]:
    """Those of `data.load` and of `data.frames`."""
    load = {name: described[name] for name in ORIGIN[:5] if described.get(name)}
    limited = {"limit": described.get("limit"), "seed": described.get("sample_seed")}
    return load, {name: value for name, value in limited.items() if value}


def _python(run: Run) -> str:
    settings, described = dict(run.info["settings"]), run.info["data"]
    name = settings.pop("model", "")
    defaults = {}
    with suppress(UserError):
        models.check(name)
        defaults = {n: plain(p.default) for n, p in models.settings_of(name).items()}
    changed = {n: v for n, v in settings.items() if n not in defaults or defaults[n] != v}
    load, sample = _arguments(described)
    lines = ["from workbench import data, models", ""]
    if load.pop("source") == UNKNOWN:
        lines += [f"# train: a table of {described['rows']['train']} rows that was in memory"]
    else:
        loaded = _call("data.load", described["source"], **load)
        frames = f"data.frames({', '.join([loaded, *_keywords(sample)])})"
        lines += [f"train, validation, test = {frames}"]
    lines += [f"model = {_call('models.build', name, **changed)}"]
    fit = ['list(train["text"]), list(train["label"])']
    if name in models.names("adaptation"):
        lines += ["# unlabeled: the texts of the target domain, which are not kept"]
        fit += ["unlabeled=unlabeled"]
    if "validation" in described["rows"] and "patience" in settings:
        fit += ['validation=(list(validation["text"]), list(validation["label"]))']
    return "\n".join([*lines, f"model.fit({', '.join(fit)})"])


def _call(function: str, *values, **more) -> str:
    return f"{function}({', '.join([*map(repr, values), *_keywords(more)])})"


def _keywords(values: dict) -> list[str]:
    return [f"{name}={value!r}" for name, value in values.items()]


def _command(run: Run) -> str:
    notebook, parameters = run.info["notebook"], dict(run.info["parameters"])
    described, defaults = run.info["data"], {}
    if described.get("source", UNKNOWN) != UNKNOWN:
        # What the notebook's picker chose goes before the parameter with which it began.
        chosen = {"text_column": "", "label_column": "", "label_names": {}} | described
        for name in ("source", "text_column", "label_column", "label_names"):
            parameters[{"source": "DATA"}.get(name, name.upper())] = chosen[name]
    with suppress(UserError):
        defaults = notebooks.literals(notebooks.read(notebooks.resolve([notebook])[0]))
    words = ["workbench", "run", notebook]
    for name, value in parameters.items():
        if name in defaults and defaults[name] != value:
            text = str(value).lower() if value is None or value is True or value is False else value
            flag = [f"--{name.lower()}"] if name in notebooks.GENERAL else ["-p", name]
            words += [*flag, str(text)]
    return shlex.join(words)
