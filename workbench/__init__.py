"""A workbench for transfer learning in natural language processing.

Import the rooms you need, for example ``from workbench import data, models``. The package itself
loads nothing heavy, so ``import workbench`` is instant.
"""

import os
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

__version__ = "0.1.0"

# Between two small products libgomp's threads wait for each other in a loop of up to 300,000 turns,
# which beside another program takes the very core that the awaited thread needs. Ten thousand
# turns last as long as most waits do; then a thread sleeps. Read when torch is loaded; measured by
# `python -m benchmarks --only busy`.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Modules that notebooks name without their room: `from workbench import text, plots`.
_SHORT_NAMES = {
    "sources": "data.sources", "text": "data.text",
    "history": "training.history", "inference": "training.inference", "speed": "training.speed",
    "strategies": "training.strategies",
    "adapt": "models.adaptation", "encoders": "models.encoders",
    "neural": "models.encoder_classifier", "networks": "models.networks",
    "vectors": "models.vectors",
    "evaluate": "evaluation", "explain": "evaluation.explain", "plots": "evaluation.plots",
    "lesson": "runs.lesson",
}  # fmt: skip


class _ShortNames(MetaPathFinder, Loader):
    """Makes ``workbench.text`` and ``workbench.data.text`` one and the same module."""

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        found = package == __name__ and name in _SHORT_NAMES
        return ModuleSpec(fullname, self) if found else None

    def create_module(self, spec):
        module = import_module(f"{__name__}.{_SHORT_NAMES[spec.name.partition('.')[2]]}")
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self._own_spec  # the import system has just replaced it by the alias


sys.meta_path.append(_ShortNames())
