"""The training loop on `transformers.Trainer`; it knows no notebook, widget or run folder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["History"],
        "stopping": ["Stopped"],
        "trainer": ["default_learning_rate", "fit", "parameter_counts"],
    },
)
