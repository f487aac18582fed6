"""What a person sees of a `ModelPicker`."""

from functools import lru_cache

import pandas as pd

from workbench import models
from workbench.models import costs
from workbench.models.encoder_classifier import STRATEGIES
from workbench.widgets import base, controls
from workbench.widgets.tables import table

RATES = [m * 10.0**e for e in range(-6, -1) for m in (1, 2, 5)] + [0.1]


def view(picker):
    """Controls, facts and the comparison, in step with the picker and with its other views."""
    kit, fields = base.toolkit(), _fields(base.toolkit())
    status, explained, known, compared = (kit.HTML() for _ in range(4))

    def change(name, value):
        if name == "other" and not value.strip():
            return
        picker.choose(**{"model" if name == "other" else name: value})
        picker.measure(again=False)
        good = base.status_line(f"'{value}' can be used.", "good")
        status.value = good if name == "other" else ""

    show_state = controls.bind(fields, lambda: _state(picker), change, status)

    def show(_=None):
        show_state()
        for name, field in fields.items():
            takes = {"model", "other", *models.settings_of(picker.value["model"])}
            field.disabled = name not in takes
        strategy = STRATEGIES[picker.value["strategy"]]
        if "strategy" not in models.settings_of(picker.value["model"]):
            strategy = "This model has no strategy to choose."
        explained.value = base.status_line(strategy)
        known.value = facts(picker)
        compared.value = comparison(picker)

    picker.observe(base.guarded(show, status))
    show()
    off, tip = {"disabled": picker.texts is None}, "Time and memory of "
    measure = controls.button("Measure", f"{tip}this choice, anew", picker.measure, status, **off)
    compare = controls.button("Compare all", f"{tip}every choice", picker.compare, status, **off)
    model, other, strategy, epochs, rate, length, seed = fields.values()
    return controls.box(
        controls.row(model, other), status, controls.row(strategy, explained),
        controls.row(epochs, rate), controls.row(length, seed), _grid(picker), known,
        controls.row(measure, compare), compared,
    )  # fmt: skip


def _grid(picker):
    """Where several values are marked at once, folded away at first."""
    kit, count = base.toolkit(), base.toolkit().HTML()
    marks = {
        "strategy": kit.SelectMultiple(description="Strategies", options=list(STRATEGIES), rows=5),
        "learning_rate": kit.SelectMultiple(
            description="Learning rates", options=_rates(None), rows=5
        ),
    }

    def mark(name, values):
        picker.several = picker.several | {name: values}

    def show(_=None):
        show_marks()
        n = len(picker.grid())
        count.value = base.status_line(
            f"{n} training{'s' if n > 1 else ''}, with Ctrl or Shift marked at once; what trains "
            "them: await widgets.TrainingGrid(picker.grid, train, validation)"
        )

    show_marks = controls.bind(
        marks, lambda: ({name: picker.several.get(name, ()) for name in marks}, {}), mark, count
    )
    picker.observe(base.guarded(show, count), ["several", "value"])
    show()
    return kit.Accordion([kit.VBox([*marks.values(), count])], titles=["Several at once: a grid"])


def facts(picker, cost: str | None = None) -> str:
    """The choice and what is known of its model as a table; `cost` replaces the estimate."""
    name = picker.value["model"]
    suits, size = _known(name)
    takes, settings = models.settings_of(name), picker.settings()
    chosen = [
        f"{key.replace('_', ' ')} {settings.get(key) or default(name, key)}"
        for key in list(picker.value)[1:]
        if key in takes
    ]
    cost = in_words(picker.cost()) if cost is None else cost
    rows = {"size": size, "settings": ", ".join(chosen) or "none"}
    rows |= {"time and memory here": cost} if cost else {}
    column = f"{name}: {suits}"
    return table(pd.DataFrame({column: rows}).rename_axis("model"), wrap=column)


def comparison(picker) -> str:
    """What `picker.compare` has found, with what each is; empty before it is called."""
    if not (found := picker.compared()):
        return ""
    caption = f"{len(picker.texts or ())} texts, each model with its defaults"
    if models.CATALOGUE.keys() >= found.keys():
        known = models.table().loc[list(found), ["group", "about", "size", "languages"]]
    else:
        known = pd.DataFrame({"about": STRATEGIES}).loc[list(found)].rename_axis("name")
        caption = f"{len(picker.texts)} texts, {picker.value['model']} with the settings above"
    shown = known.assign(**{"time and memory here": list(map(in_words, found.values()))})
    return table(shown, caption, wrap="about")


def default(name: str, setting: str) -> str:
    """The model's default of a setting, in words."""
    value = models.settings_of(name)[setting].default
    return str(value) if setting == "seed" else "default" if value is None else f"{value} (default)"


def in_words(cost) -> str:
    """An estimate as it is read: rounded, because more digits would be a pretence."""
    if cost is None:
        return "measuring…"
    if isinstance(cost, str):
        return cost
    seconds, memory = cost.seconds, cost.memory
    units = ((90, 1, "s"), (5400, 60, "min"), (float("inf"), 3600, "h"))
    _, unit, name = next(u for u in units if seconds < u[0])
    duration = "less than 1 s" if seconds < 1 else f"about {seconds / unit:.2g} {name}"
    size = f"{memory:.2g} MiB" if memory < 100 else f"{memory / 1024:.1f} GiB"
    size = f"{memory:.0f} MiB" if 100 <= memory < 1000 else size
    return f"{duration}, {size}" + (f" ({cost.remark})" if cost.remark else "")


def _fields(kit) -> dict:
    half = {"style": {"description_width": "125px"}, "layout": {"width": "360px"}}
    return {
        "model": kit.Dropdown(description="Model", **half),
        "other": kit.Text(description="Hub or folder", continuous_update=False,
                          placeholder="owner/model or ./folder, Enter", **half),
        "strategy": kit.Dropdown(description="Strategy", options=list(STRATEGIES), **half),
        "epochs": kit.FloatText(description="Epochs (0: default)", step=0.5, **half),
        "learning_rate": kit.SelectionSlider(description="Learning rate", continuous_update=False,
                                             options=_rates(None), **half),
        "max_length": kit.IntText(description="Length (0: default)", step=16, **half),
        "seed": kit.IntText(description="Seed", **half),
    }  # fmt: skip


def _state(picker) -> tuple[dict, dict]:
    """What the controls show, and what the menus offer."""
    value = picker.value
    menu = [(f"{models.CATALOGUE[name].group} · {name}", name) for name in picker.names()]
    if value["model"] not in models.CATALOGUE:
        menu.append((f"pretrained · {value['model']}", value["model"]))
    options = {"model": menu, "learning_rate": _rates(value["learning_rate"])}
    return {name: chosen or 0 for name, chosen in value.items()}, options


def _rates(chosen: float | None) -> list[tuple[str, float]]:
    """The model's default, and a scale of rates with the chosen one among them."""
    scale = sorted({*RATES, chosen or RATES[0]})
    return [("default", 0.0), *((f"{rate:.3g}", rate) for rate in scale)]


@lru_cache(maxsize=32)
def _known(name: str) -> tuple[str, str]:
    """For what a model is, and its size and languages: of a checkpoint without its weights."""
    if entry := models.CATALOGUE.get(name):
        languages = "any language" if entry.languages == "any" else entry.languages
        size = f"{entry.size}{' parameters' if entry.size[-1] == 'M' else ''}"
        where = "here" if entry.here else "to be installed"
        return f"{entry.about} ({entry.group})", f"{size}; {languages}; {where}"
    where = "here"
    if not costs.is_here(name):
        size = costs.download_size(name)
        where = f"to be downloaded ({f'{size:.0f} MiB' if size else 'size unknown'})"
    millions = costs.parameters(name)[0] / 1e6
    size = f"{millions:.1f} M parameters; languages: see its card; {where}"
    return "a pretrained encoder, to be fine-tuned or frozen", size
