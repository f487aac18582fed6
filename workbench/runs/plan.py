"""What a sweep runs: from a file to a list of jobs, all of it checked before the first one."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from itertools import product
from pathlib import Path

import pandas as pd

from workbench import data, models
from workbench.errors import UserError, first_line, unknown
from workbench.models import checks
from workbench.runs import notebooks, parameters, provenance

LOADING = ("text_column", "label_column", "label_names")  # arguments of `data.load`
KEYS = ("models", "data", "seed", "settings", "pairs", "limit", *LOADING)
OF_NOTEBOOKS = ("notebook", "parameters")
RANGE = {"low", "high", "step", "log"}


@dataclass(frozen=True, eq=False)
class Job:
    """One combination: one run, whose folder is called by a digest of all that is written here.

    Parameters
    ----------
    data : the arguments of `data.load`.
    digest : of the rows, as `describe_data` gives it.
    pair : names of one source domain or several, then of the target; or nothing.
    limit : training rows, drawn by the seed; None takes all.
    ranges, trial : of a search, what is drawn, and which draw this is; see `search`.
    notebook, parameters : in place of all others.
    """

    model: str = ""
    settings: dict = field(default_factory=dict)
    seed: int = 0
    data: dict = field(default_factory=dict)
    digest: str = ""
    pair: tuple[str, ...] = ()
    limit: int | None = None
    ranges: dict = field(default_factory=dict)
    trial: int | None = None
    notebook: str = ""
    parameters: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What is compared: the model and the settings that the file gives it."""
        given = {k: v for k, v in {**self.settings, **self.parameters}.items() if k != "SEED"}
        given = [f"{name}={value}" for name, value in given.items() if name not in self.ranges]
        given += [f"{name} searched" for name in self.ranges]
        given += [f"limit={self.limit}"] if self.limit else []
        return ", ".join([self.model or Path(self.notebook).stem, *given])

    @property
    def where(self) -> str:
        """The data, or the pair of domains."""
        ends = [", ".join(self.pair[:-1]), *self.pair[-1:]]
        return " to ".join(ends) or Path(self.data.get("source", "")).name

    @property
    def key(self) -> str:
        """The name of its folder."""
        # The digest stands for the rows, wherever the file lies.
        content = asdict(self) | {"data": self.where, "notebook": Path(self.notebook).stem}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
        name = re.sub(r"[^\w.-]", "-", self.model or Path(self.notebook).stem)[-40:]
        return f"{name}-{digest.hexdigest()[:12]}"

    def folder(self, out: Path) -> Path:
        """Where its result stands once it is whole."""
        kind = "notebooks" if self.notebook else "runs" if self.trial is None else "trials"
        return out / kind / self.key

    def group(self) -> str:
        """Jobs of one group share their training: one source model serves several targets."""
        if self.pair and "unlabeled" not in fit_arguments(self.model):
            return repr((self.name, self.seed, self.data, self.pair[:-1]))
        return self.key


@cache
def fit_arguments(model: str) -> tuple[str, ...]:
    """What `fit` reads; `source-only` takes unlabelled texts and leaves them unread."""
    import inspect

    takes = inspect.signature(models.build(model).fit).parameters
    return tuple(name for name in takes if (model, name) != ("source-only", "unlabeled"))


def read(file: str | Path | dict) -> dict:
    """A sweep's file, with every value that may be a list as a list.

    Raises
    ------
    UserError : it cannot be read, or has a key that means nothing.
    """
    import yaml

    try:
        spec = file if isinstance(file, dict) else yaml.safe_load(Path(file).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"'{file}' cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"'{file}' is no YAML: {first_line(error)}.") from error
    if not isinstance(spec, dict) or not {"models", "notebook"} & set(spec):
        raise UserError("A sweep names models ('models: [logistic, minilm]') or a notebook.")
    known = OF_NOTEBOOKS if "notebook" in spec else KEYS
    for key in spec:
        if key not in known:
            raise unknown("key of a sweep", key, known)
    return spec


def jobs(spec: dict) -> list[Job]:
    """Every combination of what `read` gives, once, those of one data set together.

    A setting goes to the models that have it: a grid over ``strategy`` leaves `logistic` one run.

    Raises
    ------
    UserError : a model, setting, file, domain or parameter is unknown or cannot be used.
    """
    if "notebook" in spec:
        return _of_notebook(spec)
    _load.cache_clear()  # a file may have changed since another sweep
    named = [_named(model) for model in _list(spec["models"])]
    shared = _mapping("settings", spec.get("settings"))
    for setting in shared:
        if not any(setting in models.settings_of(name) for name, _ in named):
            raise unknown("setting of these models called", setting, _settings(named))
    found = []
    for source in _list(spec.get("data", "reviews")):
        loading = {"source": str(source)} | {k: spec[k] for k in LOADING if spec.get(k)}
        frames = load(loading)
        loading["source"] = frames["train"].attrs.get("source", str(source))
        for pair in _pairs(spec.get("pairs"), frames):
            digest = rows_digest(select(frames, pair))
            grid = product(named, _list(spec.get("limit")), _list(spec.get("seed", 0)))
            for (name, own), limit, seed in grid:
                for limit_or_seed in (limit or 1, seed):
                    _check_whole(limit_or_seed)
                for settings, ranges in _combinations(name, shared | own):
                    found.append(Job(name, settings, seed, loading, digest, pair, limit, ranges))
    return list({job.key: job for job in found}.values())


def load(loading: dict) -> dict[str, pd.DataFrame]:
    """The splits of a source as tables, by name; the last ones stay in memory."""
    return _load(json.dumps(loading))


@lru_cache(maxsize=4)
def _load(loading: str) -> dict[str, pd.DataFrame]:
    dataset = data.load(**json.loads(loading), requires=("label",))
    return {name: data.loading.frame(part) for name, part in dataset.items()}


def select(frames: dict[str, pd.DataFrame], pair: tuple[str, ...]) -> tuple:
    """Training, validation and test rows, and texts of the target without labels (or None).

    Of a pair, validation rows are the sources'. Where the target has unlabelled texts, they are
    what is adapted to and all its labelled rows are tested, as in the papers on Amazon reviews;
    else it is adapted to its training texts, without their labels, and tested on its test rows.
    """
    train, validation, test = (frames[name] for name in ("train", "validation", "test"))
    if not pair:
        return train, validation, test, None
    *sources, target = pair
    unlabeled = of(frames["unlabeled"], target) if "unlabeled" in frames else train[:0]
    if len(unlabeled):
        test = pd.concat([of(part, target) for part in (train, validation, test)])
        train = pd.concat([of(part, *sources) for part in (train, frames["test"])])
        known = {*train["text"], *of(validation, *sources)["text"], *unlabeled["text"]}
        test = test[~test["text"].isin(known)]
    else:
        unlabeled, train, test = of(train, target), of(train, *sources), of(test, target)
    rows = (train, of(validation, *sources), test)
    return *(table.reset_index(drop=True) for table in rows), list(unlabeled["text"])


def rows_digest(rows: tuple) -> str:
    """Tells what `select` gives from other rows; texts without labels count too."""
    content = provenance.describe_data(*rows[:3])["digest"] + json.dumps(rows[3])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def of(table: pd.DataFrame, *domains: str) -> pd.DataFrame:
    """The rows of these domains."""
    return table[table["domain"].isin(domains)]


def _list(value: object) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _mapping(key: str, value: object) -> dict:
    if not isinstance(value, dict | None):
        raise UserError(f"'{key}' gives names and values, such as '{key}: {{epochs: [1, 3]}}'.")
    return value or {}


def _named(model: object) -> tuple[str, dict]:
    """A model and its own settings: a name, or ``{minilm: {strategy: lora}}``."""
    name, own = next(iter(model.items())) if isinstance(model, dict) else (str(model), {})
    models.check(name)
    for setting in (own := _mapping(name, own)):
        if setting not in models.settings_of(name):
            raise unknown(f"setting of '{name}' called", setting, models.settings_of(name))
    return name, own


def _settings(named: list) -> list[str]:
    return sorted({setting for name, _ in named for setting in models.settings_of(name)} - {"seed"})


def _combinations(name: str, given: dict) -> list[tuple[dict, dict]]:
    """Settings and ranges of each run of a model: those of `given` that it has."""
    own = {k: v for k, v in given.items() if k in models.settings_of(name) and k != "seed"}
    ranges = {k: v for k, v in own.items() if isinstance(v, dict) and {"low", "high"} <= set(v)}
    for setting, limits in ranges.items():
        if others := set(limits) - RANGE:
            raise unknown(f"key of the range of {setting} called", others.pop(), sorted(RANGE))
    fixed = {k: _list(v) for k, v in own.items() if k not in ranges}
    found = [dict(zip(fixed, values, strict=True)) for values in product(*fixed.values())]
    for settings in found:
        checks.check_numbers(settings | {k: v["low"] for k, v in ranges.items()})
        built = models.build(name, **settings)
        getattr(built, "_check", lambda: None)()
    return [(settings, ranges) for settings in found]


def _check_whole(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        raise UserError(f"seed and limit are whole numbers of at least 0, not {value!r:.40}.")


def _pairs(given: object, frames: dict[str, pd.DataFrame]) -> list[tuple[str, ...]]:
    """Pairs of domains: ``all``, ``others`` or a list of ``[source or sources, target]``."""
    if given is None:
        return [()]
    table = frames["train"]
    domains = sorted(table["domain"].dropna().unique()) if "domain" in table else []
    if not domains:
        raise UserError("'pairs' needs data with a domain column, or a folder of domains.")
    if given == "all":
        return [(a, b) for a, b in product(domains, domains) if a != b]
    if given == "others":
        given = [[[d for d in domains if d != target], target] for target in domains if domains[1:]]
    found = []
    for pair in map(_list, _list(given)):
        if len(pair) != 2 or not pair[0]:
            raise UserError("'pairs' is 'all', 'others', or a list such as [[a, b], [[a, b], c]].")
        found.append(names := (*sorted(map(str, _list(pair[0]))), str(pair[1])))
        for domain in names:
            if domain not in domains:
                raise unknown("domain", domain, domains)
            if names.count(domain) > 1:
                raise UserError(f"A pair has '{domain}' twice: name each of its domains once.")
    return found


def _of_notebook(spec: dict) -> list[Job]:
    given = {k: _list(v) for k, v in _mapping("parameters", spec.get("parameters")).items()}
    found = []
    for path in notebooks.resolve(map(str, _list(spec["notebook"]))):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for values in product(*given.values()):
            texts = {name: str(value) for name, value in zip(given, values, strict=True)}
            checked = parameters.check([path], texts)[path]
            found.append(Job(notebook=str(path), digest=digest, parameters=checked))
    return found
