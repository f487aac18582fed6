"""Which model, with which settings, and what it costs here."""

import itertools
import threading
from collections.abc import Sequence

from traitlets import Dict

from workbench import models
from workbench.errors import unknown
from workbench.models import checks, costs
from workbench.models.encoder_classifier import STRATEGIES
from workbench.widgets import attempt, base, model_view
from workbench.widgets.pickers import Picker

WHOLE = ("max_length", "seed")
IN_STEPS = ("epochs", "learning_rate")
DEFAULTS = {
    "model": "minilm", "strategy": "full", "epochs": None, "learning_rate": None,
    "max_length": None, "seed": 0,
}  # fmt: skip
NOT_WHILE_TRAINING = "not measured beside a training: press Measure when it has ended"
_measuring = threading.Lock()  # one estimate at a time, of all pickers: each slows the others


class ModelPicker(Picker):
    """A model and the settings that matter, with what each costs on this machine.

    Parameters
    ----------
    model : a name of the catalogue, a folder or a hub name.
    texts, labels : the training texts and their labels, on which the costs are measured.
    groups : the groups of the catalogue that are offered; all by default.
    settings : strategy, epochs, learning_rate, max_length and seed to begin with; None or 0 is the
        model's default.

    Attributes
    ----------
    value : dict with the keys model, strategy, epochs, learning_rate, max_length and seed; None is
        the model's default. What the model does not take stands there too, and is not passed on.
    several : by name, the values that are marked for `grid`.

    Raises
    ------
    UserError : the model or a setting cannot be.
    """

    several = Dict()

    def __init__(
        self, model: str = "minilm", *, texts: Sequence[str] | None = None,
        labels: Sequence | None = None, groups: Sequence[str] | None = None, **settings,
    ) -> None:  # fmt: skip
        super().__init__(dict(DEFAULTS))
        self.texts = None if texts is None else list(texts)
        self.labels = None if labels is None else list(labels)
        self.groups = groups
        self._costs: dict[tuple, costs.Cost | str | None] = {}  # None: being measured
        self._compared = False
        self.choose(model=model, **settings)
        self.keep_choice(groups)

    def choose(self, **changes) -> None:
        """Change all that is named, or nothing.

        Raises
        ------
        UserError : one of them cannot be.
        """
        new = self.value | {name: _checked(name, value) for name, value in changes.items()}
        if "model" in changes:
            models.check(new["model"])
            if new["model"] in models.CATALOGUE and new["model"] not in self.names():
                raise unknown("model here called", new["model"], self.names())
        self.set_trait("value", new)

    def names(self) -> list[str]:
        """The entries of the catalogue that are offered."""
        chosen = self.groups or {entry.group for entry in models.CATALOGUE.values()}
        return [name for name in models.names() if models.CATALOGUE[name].group in chosen]

    def settings(self) -> dict:
        """The chosen settings that the chosen model takes."""
        return _settings(self.value)

    def grid(self, **choices: Sequence) -> list[dict]:
        """Every combination of several values, with the rest as chosen: for a `TrainingGrid`.

        Parameters
        ----------
        choices : the values by name, as ``learning_rate=[1e-4, 3e-4]``; by default those that are
            marked in the view.

        Returns
        -------
        list of dict : the arguments of `models.build`, the name under ``"model"``.

        Raises
        ------
        UserError : one of them cannot be.
        """
        choices = {
            name: values for name, values in (choices or self.several).items() if len(values)
        }
        checked = ([_checked(name, each) for each in values] for name, values in choices.items())
        found = []
        for combination in itertools.product(*checked):
            value = self.value | dict(zip(choices, combination, strict=True))
            models.check(value["model"])
            settings = {"model": value["model"]} | _settings(value)
            if settings.get("strategy") == "frozen":  # is not trained in steps
                settings = {k: v for k, v in settings.items() if k not in IN_STEPS}
            found += [settings] if settings not in found else []
        return found

    def build(self, **more):
        """The unfitted classifier; `more` are settings for `models.build`."""
        return models.build(self.value["model"], **self.settings() | more)

    def cost(self) -> costs.Cost | str | None:
        """What the choice costs on `texts`; a sentence if unknown, None while it is measured.

        Nothing is measured before a person presses a button or chooses: Run All must not wait.
        """
        return self._cost(self._estimated(self.value["model"]))

    def measure(self, again: bool = True) -> None:
        """Measure in the background what the choice costs; a known cost only if `again`."""
        if again or not isinstance(self.cost(), costs.Cost):
            self._measure([self._estimated(self.value["model"])])

    def compare(self) -> None:
        """Estimate in the background what `compared` names."""
        self._compared = True
        self._measure(list(self._alternatives().values()))

    def compared(self) -> dict[str, costs.Cost | str | None]:
        """The cost of each model of the menu with its defaults, or of one model's strategies.

        None is being measured; without texts, or before `compare` is called, it is empty.
        """
        alternatives = self._alternatives() if self._compared else {}
        return {name: self._cost(key) for name, key in alternatives.items()}

    view = model_view.view

    def still(self) -> dict:
        words = ", ".join(f"{k}={v}" for k, v in self.value.items() if v is not None)
        return {"text/html": model_view.facts(self, cost=""), "text/plain": f"Model: {words}"}

    def _alternatives(self) -> dict[str, tuple]:
        """What is compared, by its name: the arguments of an estimate."""
        model, names = self.value["model"], self.names()
        if len(names) > 1 or "strategy" not in models.settings_of(model):
            return {name: (name, ()) for name in names}
        return {each: self._estimated(model, strategy=each) for each in STRATEGIES}

    def _estimated(self, model: str, **changes) -> tuple[str, tuple]:
        """The model and those of its chosen settings that decide about its cost."""
        settings = self.settings() | changes
        names = ("strategy", "epochs", "max_length")
        return model, tuple((name, settings[name]) for name in names if name in settings)

    def _cost(self, key: tuple) -> costs.Cost | str | None:
        if self.texts is None:
            return "give the picker texts= to see it"
        found = self._costs.get(key, "not measured yet: press Measure")
        if not isinstance(found, costs.Cost):
            return found
        return costs.corrected(found, key[0], dict(key[1]), len(self.texts))

    def _measure(self, keys: list[tuple]) -> None:
        keys = [key for key in keys if self._costs.get(key, "") is not None]
        if self.texts is None or not keys:
            return

        def work() -> None:
            for key in keys:
                with _measuring:
                    self._costs[key] = self._measured(*key)
                self.revise()

        # A thread would let others find these half imported: `datasets` looks for `transformers`
        # among the imported modules, and takes what it finds.
        import torch  # noqa: F401
        import transformers  # noqa: F401

        self._costs |= dict.fromkeys(keys)
        self.begin(work)
        self.revise()

    def _measured(self, name: str, settings: tuple) -> costs.Cost | str:
        """The cost, or in words why it could not be measured."""
        if attempt.training_runs():
            return NOT_WHILE_TRAINING
        try:
            return costs.estimate(name, self.texts, self.labels, **dict(settings))
        except Exception as error:
            return base.error_message(error)


def _settings(value: dict) -> dict:
    """Those of a choice that its model takes."""
    takes = models.settings_of(value["model"])
    chosen = {k: v for k, v in value.items() if k in takes and v is not None}
    return {k: round(v) if takes[k].annotation is int else v for k, v in chosen.items()}


def _checked(name: str, value):
    """A value as it is kept: None for what is left to the model."""
    if name not in DEFAULTS:
        raise unknown("choice", name, DEFAULTS)
    if name == "model":
        return str(value).strip()
    value = value or DEFAULTS[name]
    if name == "strategy" and value not in STRATEGIES:
        raise unknown("strategy", value, STRATEGIES)
    checks.check_numbers({name: value})
    return int(value) if value and name in WHOLE else value
