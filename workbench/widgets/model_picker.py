"""Which model, with which settings, and what it costs here."""

from collections.abc import Sequence

from workbench import models
from workbench.errors import UserError, unknown
from workbench.models import costs, encoder_classifier
from workbench.widgets import base, model_view
from workbench.widgets.pickers import Picker

LIMITS = {"epochs": 1000, "learning_rate": 1, "max_length": 8192, "seed": 2**32 - 1}


class ModelPicker(Picker):
    """A model and the settings that matter, with what each costs on this machine.

    Parameters
    ----------
    model : a name of the catalogue, a folder or a hub name.
    texts, labels : the training texts and their labels, on which the costs are measured.
    groups : the groups of the catalogue that are offered; all by default.
    settings : strategy, epochs, learning_rate, max_length and seed to begin with; None or 0 is the
        model's own.

    Attributes
    ----------
    value : dict with the keys model, strategy, epochs, learning_rate, max_length and seed; None is
        the model's own. What the model does not take stands there too, and is not passed on.

    Raises
    ------
    UserError : the model or a setting cannot be.
    """

    def __init__(
        self, model: str = "minilm", *, texts: Sequence[str] | None = None,
        labels: Sequence | None = None, groups: Sequence[str] | None = None, **settings,
    ) -> None:  # fmt: skip
        value = {"model": model, "strategy": "full"}
        value |= dict.fromkeys(("epochs", "learning_rate", "max_length")) | {"seed": 0}
        super().__init__(value)
        self.texts = None if texts is None else list(texts)
        self.labels = None if labels is None else list(labels)
        self.groups = groups
        self._costs: dict[tuple, costs.Cost | str | None] = {}
        self._compared: dict[str, costs.Cost | str] | None = None
        self.choose(model=model, **settings)
        self.keep_choice(groups)
        self._measure_wanted = False

    def choose(self, **changes) -> None:
        """Change all that is named, or nothing.

        Raises
        ------
        UserError : one of them cannot be.
        """
        for name in changes:
            if name not in self.value:
                raise unknown("choice", name, self.value)
        new = self.value | {name: _checked(name, value) for name, value in changes.items()}
        if "model" in changes:
            models.check(new["model"])
            if new["model"] in models.CATALOGUE and new["model"] not in self.names():
                raise unknown("model here called", new["model"], self.names())
        if new != self.value:
            self._measure_wanted = True
            self.set_trait("value", new)

    def names(self) -> list[str]:
        """The entries of the catalogue that are offered."""
        chosen = self.groups or {entry.group for entry in models.CATALOGUE.values()}
        return [name for name in models.names() if models.CATALOGUE[name].group in chosen]

    def settings(self) -> dict:
        """The chosen settings that the chosen model takes."""
        takes = models.settings_of(self.value["model"])
        chosen = {k: v for k, v in self.value.items() if k in takes and v is not None}
        return {k: round(v) if takes[k].annotation is int else v for k, v in chosen.items()}

    def build(self, **more):
        """The unfitted classifier; `more` are settings for `models.build`."""
        return models.build(self.value["model"], **self.settings() | more)

    def cost(self) -> costs.Cost | str | None:
        """What the choice costs on `texts`; a sentence if unknown, None while it is measured.

        Nothing is measured before a person presses a button or chooses: Run All must not wait.
        """
        if self.texts is None:
            return "give the picker texts= to see it"
        settings = self.settings()
        given = {k: settings[k] for k in ("strategy", "epochs", "max_length") if k in settings}
        key = (self.value["model"], *given.items())
        if key not in self._costs:
            if not self._measure_wanted:
                return "not measured yet: press Measure"
            self._costs[key] = None
            _import_all()
            self.begin(lambda: self._estimate(key, given))
        return self._costs[key]

    def measure(self) -> None:
        """Measure what the choice costs, where that is not known yet."""
        self._measure_wanted = True
        self.revise()

    def compare(self) -> None:
        """Estimate every entry with its own settings, one after the other, in the background."""
        if self._compared is None:
            self._compared = {}
            _import_all()
            self.begin(self._estimate_all)
            self.revise()

    def compared(self) -> dict[str, costs.Cost | str] | None:
        """What `compare` has found so far; None before it is called."""
        return self._compared

    def view(self):
        return model_view.view(self)

    def still(self) -> dict:
        words = ", ".join(f"{k}={v}" for k, v in self.value.items() if v is not None)
        return {"text/html": model_view.facts(self, cost=""), "text/plain": f"Model: {words}"}

    def _estimate(self, key: tuple, given: dict) -> None:
        self._costs[key] = self._cost_of(key[0], given)
        self.revise()

    def _estimate_all(self) -> None:
        for name in self.names():
            self._compared[name] = self._cost_of(name, {})
            self.revise()

    def _cost_of(self, name: str, given: dict) -> costs.Cost | str:
        """The cost, or in words why it could not be measured."""
        try:
            return costs.estimate(name, self.texts or (), self.labels, **given)
        except Exception as error:
            return base.error_message(error)


def _checked(name: str, value):
    """A value as it is kept: None for what is left to the model."""
    if name == "model":
        return str(value).strip()
    if name == "strategy":
        if (value := value or "full") not in encoder_classifier.STRATEGIES:
            raise unknown("strategy", value, encoder_classifier.STRATEGIES)
        return value
    if not isinstance(value or 0, (int, float)) or not 0 <= (value or 0) <= LIMITS[name]:
        raise UserError(
            f"{name} must lie between 0, the model's own, and {LIMITS[name]}, not '{value}'."
        )
    return value or (0 if name == "seed" else None)


def _import_all() -> None:
    """Import here what an estimate needs, for whoever finds it half imported by a thread fails.

    `datasets` looks for `transformers` among the imported modules, and takes what it finds.
    """
    import torch  # noqa: F401
    import transformers  # noqa: F401
