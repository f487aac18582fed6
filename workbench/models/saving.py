"""Fitted models in a folder: skops and safetensors, of which nothing is run when it is read."""

import copy
import zipfile
from pathlib import Path

from workbench.errors import UserError, first_line
from workbench.models import encoders
from workbench.training import isolation

FILE = "model.skops"
# What skops does not trust by itself: numbers, or classes and functions of this package.
TRUSTED = [
    "gensim.models.keyedvectors.KeyedVectors", "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer", "sklearn.tree._tree.Tree",
    "workbench.data.text.tokenize",
    *(f"workbench.models.adaptation.alignment.{name}" for name in (
        "CDAN", "DANN", "DeepCORAL", "MCC", "MMD",
    )),
    "workbench.models.adaptation.base.SourceOnly",
    *(f"workbench.models.adaptation.features.{name}" for name in (
        "Coral", "FeatureSelection", "ImportanceWeighting", "LinearDiscriminant",
        "OptimalTransport", "PrincipalComponents", "SubspaceAlignment",
    )),
    "workbench.models.adaptation.multi_task.MultiTask",
    "workbench.models.adaptation.pretraining.ContinuedPretraining",
    "workbench.models.adaptation.pretraining.SimCSE",
    "workbench.models.adaptation.pretraining.UDALM",
    "workbench.models.adaptation.self_training.SelfTraining",
    "workbench.models.classical.EarlyStoppingMLP", "workbench.models.classical.Folds",
    "workbench.models.classical.Perceptron", "workbench.models.classical.TextPipeline",
    "workbench.models.encoder_classifier.NetworkClassifier",
    "workbench.models.encoder_classifier.TextClassifier", "workbench.models.networks.Vocabulary",
    "workbench.models.seq2seq.Seq2Seq", "workbench.models.tagger.BaselineTagger",
    "workbench.models.tagger.Tagger", "workbench.models.vectors.MeanVectors",
    "workbench.training.history.History",
]  # fmt: skip


def save(model, folder: str | Path) -> None:
    """Write a fitted model of the catalogue to a folder.

    A frozen encoder is saved with its head only if no name finds it on another machine.

    Raises
    ------
    UserError : a part of the model is of a kind that `load` would refuse.
    """
    from safetensors.torch import save_file
    from skops import io

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rest = copy.copy(model)
    network, tokenizer = (vars(rest).pop(name, None) for name in ("_model", "_tokenizer"))
    encoder = str(getattr(model, "encoder", None) or encoders.BUNDLED)
    source = Path(encoder.removeprefix(encoders.STATIC))
    if network is None and encoder not in encoders.NAMES and source.expanduser().is_dir():
        network, tokenizer = encoders.load(encoder), encoders.tokenizer(encoder)
    if tokenizer is not None:
        with isolation.quiet():
            network.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    elif network is not None:
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
    io.dump(rest, folder / FILE, compression=zipfile.ZIP_DEFLATED)
    if others := {*io.get_untrusted_types(file=folder / FILE)} - {*TRUSTED}:
        (folder / FILE).unlink()
        raise UserError(f"A model that holds {', '.join(sorted(others))} cannot be saved.")


def load(folder: str | Path):
    """The fitted model that `save` wrote.

    Raises
    ------
    UserError : there is none, it is damaged, or it holds what could run code.
    """
    from skops import io

    path = Path(folder) / FILE
    if not path.exists():
        raise UserError(f"There is no saved model in '{folder}': train it again and save it.")
    try:
        model = io.load(path, trusted=TRUSTED)
        _load_network(model, path.parent)
    except UserError:
        raise
    except Exception as error:  # of zipfile, json, skops, safetensors, torch
        raise UserError(
            f"The saved model in '{folder}' cannot be read: {first_line(error)}."
        ) from error
    return model


def _load_network(model, folder: Path) -> None:
    """Give a classifier that has its settings and classes the weights that lie in a folder."""
    from workbench.training import speed

    if hasattr(model, "_words"):
        from safetensors.torch import load_file

        weights = load_file(folder / "model.safetensors")
        model._model = model._network(weights["embeddings.weight"])
        model._model.load_state_dict(weights)
    elif hasattr(model, "_head"):
        model._model = model._tokenizer = None
        if (folder / "config.json").exists():
            model.encoder = str(folder)
    elif (folder / "config.json").exists():
        head = model._head_class
        model._tokenizer = encoders.tokenizer(folder)
        # The attention that it was trained and tested with: another one rounds in other places.
        attention = speed.for_training(encoders.configuration(folder)).get("attn_implementation")
        model._model = encoders.load(folder, head, attn_implementation=attention)
