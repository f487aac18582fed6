"""Run folders, and the notebooks that are executed into them and reported."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["lesson"],
    submod_attrs={
        "folders": [
            "Run", "annotate", "list_runs", "load", "root_folder", "save", "save_model",
            "scan_runs", "versions",
        ],
        "sweeps": ["sweep"],
        "provenance": ["configuration", "describe_data", "differences", "obstacles", "repeat"],
    },
)  # fmt: skip
