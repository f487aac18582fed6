"""Widgets for a notebook: each has its state in ``value``, and headlessly shows a still picture."""
