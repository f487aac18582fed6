"""Widgets for a notebook: each has its state in ``value``, and headlessly shows a still picture."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "browser": ["RunBrowser"],
        "data_picker": ["DataPicker"],
        "grid": ["TrainingGrid"],
        "model_picker": ["ModelPicker"],
        "panel": ["TrainingPanel"],
        "switchboard": ["Switchboard"],
        "tryit": ["TryIt"],
    },
)
