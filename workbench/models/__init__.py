"""Models by name: each is an unfitted scikit-learn estimator over raw text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["encoders", "vectors"],
    submod_attrs={
        "catalogue": [
            "CATALOGUE", "Entry", "build", "check", "describe", "names", "open", "settings_of",
            "table",
        ],
        "encoder_classifier": ["NetworkClassifier", "TextClassifier"],
        "tagger": ["BaselineTagger", "Tagger"],
    },
)  # fmt: skip
