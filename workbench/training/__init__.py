"""The training loop on `transformers.Trainer`; it knows no notebook, widget or run folder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["History"],
        "loop": ["fit"],
        "optimizers": ["default_learning_rate", "parameter_counts"],
        "stop_event": ["Stopped"],
    },
)
