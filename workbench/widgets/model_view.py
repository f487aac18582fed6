"""What a person sees of a `ModelPicker`."""

from functools import lru_cache

import pandas as pd

from workbench import models
from workbench.errors import UserError
from workbench.models import costs
from workbench.models.encoder_classifier import STRATEGIES
from workbench.widgets import base, keys
from workbench.widgets.tables import table

RATES = [m * 10.0**e for e in range(-6, -1) for m in (1, 2, 5)] + [0.1]
WIDE = {"description_width": "125px"}


def view(picker):
    """Controls, facts and the comparison, in step with the picker and with its other views."""
    w, controls = base.toolkit(), _controls(picker)
    status, explained, known, compared = (w.HTML() for _ in range(4))
    buttons = _buttons(picker)
    busy = []  # the controls are being set to the state; what they say is no news

    def refresh(_=None):
        with base.marked(busy):
            _show_state(picker, controls)
        explained.value = _explanation(picker)
        known.value = facts(picker)
        compared.value = comparison(picker)

    def changed(name, change):
        value = change["new"]
        if busy or (name == "other" and not value.strip()):
            return
        try:
            picker.choose(**{"model" if name == "other" else name: value})
            picker.measure(again=False)
            good = base.status_line(f"'{value}' can be used.", "good")
            status.value = good if name == "other" else ""
        except UserError as error:
            status.value = base.status_line(str(error), "bad")
            refresh()

    for name, control in controls.items():
        control.observe(lambda change, name=name: changed(name, change), names="value")
    picker.observe(base.guarded(refresh, status))
    refresh()
    rows = (
        w.HBox(row, layout={"flex_flow": "row wrap"})
        for row in ([controls["model"], controls["other"]], [controls["strategy"], explained],
                    [controls["epochs"], controls["learning_rate"]],
                    [controls["max_length"], controls["seed"]])
    )  # fmt: skip
    return keys.capture(
        w.VBox([next(rows), status, *rows, _grid(picker), known, buttons, compared])
    )


def _buttons(picker):
    w, off = base.toolkit(), {"disabled": picker.texts is None}
    measure = w.Button(description="Measure", tooltip="Time and memory of this choice, anew", **off)
    compare = w.Button(description="Compare all", tooltip="Time and memory of every choice", **off)
    measure.on_click(lambda _: picker.measure())
    compare.on_click(lambda _: picker.compare())
    return w.HBox([measure, compare])


def _grid(picker):
    """Where several values are marked at once, folded away at first."""
    w, count = base.toolkit(), base.toolkit().HTML()
    marks = {
        "strategy": w.SelectMultiple(description="Strategies", options=list(STRATEGIES), rows=5),
        "learning_rate": w.SelectMultiple(description="Learning rates", options=_rates(0), rows=5),
    }

    def refresh(_=None):
        for name, control in marks.items():
            control.value = tuple(picker.several.get(name, ()))
        n = len(picker.grid())
        count.value = base.status_line(
            f"{n} training{'s' if n > 1 else ''}, with Ctrl or Shift marked at once; what trains "
            "them: await widgets.TrainingGrid(picker.grid, train, validation)"
        )

    def marked(name, change):
        picker.several = picker.several | {name: change["new"]}

    for name, control in marks.items():
        control.observe(lambda change, name=name: marked(name, change), names="value")
    picker.observe(base.guarded(refresh, count), ["several", "value"])
    refresh()
    return w.Accordion([w.VBox([*marks.values(), count])], titles=["Several at once: a grid"])


def facts(picker, cost: str | None = None) -> str:
    """The choice and what is known of its model as a table; `cost` replaces the estimate."""
    name = picker.value["model"]
    entry = models.CATALOGUE.get(name)
    about = _of_entry(entry) if entry else _of_checkpoint(name)
    rows = {"model": f"{name}: {about['suits']}", "size": about["size"]}
    takes, settings = models.settings_of(name), picker.settings()
    chosen = [
        f"{key.replace('_', ' ')} {settings.get(key) or default(name, key)}"
        for key in list(picker.value)[1:]
        if key in takes
    ]
    rows["settings"] = ", ".join(chosen) or "none"
    if cost is None:
        cost = in_words(picker.cost())
    if cost:
        rows["time and memory here"] = cost
    body = "".join(
        f'<tr><th scope="row" style="text-align:left;padding-right:1em">{base.escape(key)}</th>'
        f'<td style="text-align:left">{base.escape(said)}</td></tr>'
        for key, said in rows.items()
    )
    return f'<table style="line-height:1.5">{body}</table>'


def comparison(picker) -> str:
    """What `picker.compare` has found, with what each is; empty before it was asked for."""
    if not (found := picker.compared()):
        return ""
    rows = [_described(name) | {"time and memory here": in_words(found[name])} for name in found]
    caption = f"{len(picker.texts or ())} texts, each model with its defaults"
    if models.CATALOGUE.keys().isdisjoint(found):
        caption = (
            f"{len(picker.texts or ())} texts, {picker.value['model']} with the settings above"
        )
    return table(pd.DataFrame(rows, pd.Index(found, name="name")), caption, wrap="suits")


def _described(name: str) -> dict:
    if (entry := models.CATALOGUE.get(name)) is None:
        return {"suits": STRATEGIES[name]}
    return {"group": entry.group, "suits": entry.about, "parameters": entry.size,
            "languages": entry.languages}  # fmt: skip


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


def _controls(picker) -> dict:
    w = base.toolkit()
    half = {"style": WIDE, "layout": {"width": "360px"}}
    return {
        "model": w.Dropdown(description="Model", **half),
        "other": w.Text(description="Hub or folder", placeholder="owner/model or ./folder, Enter",
                        continuous_update=False, **half),
        "strategy": w.Dropdown(description="Strategy", options=list(STRATEGIES), **half),
        "epochs": w.FloatText(description="Epochs (0: default)", step=0.5, **half),
        "learning_rate": w.SelectionSlider(description="Learning rate", continuous_update=False,
                                           options=_rates(0.0), **half),
        "max_length": w.IntText(description="Length (0: default)", step=16, **half),
        "seed": w.IntText(description="Seed", **half),
    }  # fmt: skip


def _show_state(picker, controls: dict) -> None:
    value, takes = picker.value, models.settings_of(picker.value["model"])
    options = [(f"{models.CATALOGUE[name].group} · {name}", name) for name in picker.names()]
    if value["model"] not in models.CATALOGUE:
        options.append((f"pretrained · {value['model']}", value["model"]))
    if tuple(options) != controls["model"].options:
        controls["model"].options = options
    controls["learning_rate"].options = _rates(value["learning_rate"] or 0.0)
    for name, chosen in value.items():
        if controls[name].value != (chosen or 0):
            controls[name].value = chosen or 0
        controls[name].disabled = name != "model" and name not in takes


def _rates(chosen: float) -> list[tuple[str, float]]:
    """The model's default, and a scale of rates with the chosen one among them."""
    scale = sorted({*RATES, chosen} - {0.0})
    return [("default", 0.0), *((f"{rate:.3g}", rate) for rate in scale)]


def _explanation(picker) -> str:
    if "strategy" not in models.settings_of(picker.value["model"]):
        return base.status_line("This model has no strategy to choose.")
    return base.status_line(STRATEGIES[picker.value["strategy"]])


def _of_entry(entry: models.Entry) -> dict:
    languages = "any language" if entry.languages == "any" else entry.languages
    return {
        "suits": f"{entry.about} ({entry.group})",
        "size": f"{entry.size}{' parameters' if entry.size[-1] == 'M' else ''}; {languages}; "
        f"{'here' if entry.here else 'to be installed'}",
    }


@lru_cache(maxsize=32)
def _of_checkpoint(name: str) -> dict:
    """What is known of a folder or a hub name without its weights."""
    where = "here"
    if not costs.is_here(name):
        size = costs.download_size(name)
        where = f"to be downloaded ({f'{size:.0f} MiB' if size else 'size unknown'})"
    return {
        "suits": "a pretrained encoder, to be fine-tuned or frozen",
        "size": f"{costs.parameters(name)[0] / 1e6:.1f} M parameters; languages: see its card; "
        f"{where}",
    }
