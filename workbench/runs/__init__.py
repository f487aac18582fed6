"""Run folders, and the notebooks that are executed into them and reported."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["lesson"],
    submod_attrs={
        "folders": ["Run", "list_runs", "load", "root_folder", "save", "scan_runs", "versions"],
        "provenance": ["describe_data"],
    },
)
