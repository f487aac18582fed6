"""Domain adaptation: classifiers whose `fit` also reads unlabelled text of the target domain."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "alignment": ["CDAN", "DANN", "MCC", "MMD", "DeepCORAL"],
        "base": ["SourceOnly"],
        "features": [
            "Coral", "FeatureSelection", "ImportanceWeighting", "LinearDiscriminant",
            "OptimalTransport", "PrincipalComponents", "SubspaceAlignment",
        ],
        "multi_task": ["MultiTask"],
        "pretraining": ["UDALM", "ContinuedPretraining", "SimCSE"],
        "self_training": ["SelfTraining"],
    },
)  # fmt: skip
