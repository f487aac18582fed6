"""A workbench for transfer learning in natural language processing.

Import the modules you need, for example ``from workbench import data, models``. The package itself
loads nothing heavy, so ``import workbench`` is instant.
"""

__version__ = "0.1.0"
