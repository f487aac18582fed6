"""Text with labels, from wherever it comes: read, checked, split, tokenised; no torch here."""

import lazy_loader

from workbench.errors import DataWarning, UserError  # noqa: F401, what `load` gives and raises

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["text"],
    submod_attrs={
        "loading": ["digest", "frame", "frames", "labels", "load", "sample", "summary", "table"],
        "pairs": ["load_pairs"],
        "sources": ["DATASETS", "bundled"],
    },
)
