"""Widgets for a notebook: each has its state in ``value``, and headlessly shows a still picture."""

from importlib import import_module

_HOMES = {
    "DataPicker": "data_picker", "ModelPicker": "model_picker", "RunBrowser": "browser",
    "Switchboard": "switchboard", "TrainingPanel": "panel", "TryIt": "tryit",
}  # fmt: skip
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"workbench.widgets.{_HOMES[name]}"), name)
    raise AttributeError(f"workbench.widgets has no '{name}'")
