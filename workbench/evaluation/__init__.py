"""How good a model is, how sure we are of it, and whether another is really better."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["behaviour", "explain", "gap", "plots", "selection"],
    submod_attrs={
        "calibration": [
            "calibration_error", "conformal_sets", "cooled", "reliability", "risk_coverage",
            "temperature",
        ],
        "comparison": ["compare", "mcnemar", "p_text"],
        "extrapolation": ["extrapolate"],
        "corrections": ["holm", "letters", "max_t"],
        "intervals": ["difference", "interval", "power", "rows_needed"],
        "seeds": ["over_data", "over_seeds"],
        "label_errors": ["likely_label_errors", "out_of_fold"],
        "slicing": ["slice_columns", "slices"],
        "scores": [
            "Evaluation", "by_class", "confusion", "corrected_t_test", "evaluate", "log_loss",
            "main_metric", "metrics", "wilson",
        ],
        "sequences": [
            "compare_by_metric", "evaluate_tags", "evaluate_texts", "paired", "how_tested",
        ],
    },
)  # fmt: skip
