"""Encoders and networks as scikit-learn classifiers over raw text, trained by `transformers`."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from workbench.errors import UserError, unknown
from workbench.models import encoders
from workbench.models.torch_classifier import TorchClassifier, TorchEstimator
from workbench.training.batches import Encoded

STRATEGIES = {
    "full": "all weights are trainable: the most accurate with enough labels, and the slowest",
    "frozen": "the encoder is not trained; logistic regression on its vectors: the quickest",
    "contrastive": "texts of a class are drawn together, then as frozen: for the fewest labels",
    "upper": "the upper half of the layers is trainable; the lower half is computed only once",
    "gradual": "first the head is trainable, then layer after layer, at last all",
    "lora": "small adapters are trained in place of the weights: less memory, larger steps",
}
WITH_HEAD_APART = ("frozen", "contrastive")  # logistic regression on vectors


@dataclass(eq=False, repr=False)
class PretrainedEstimator(TorchEstimator):
    """A pretrained encoder with a head, and the strategies that say what of it is trained.

    Parameters
    ----------
    encoder : ``"minilm"``, ``"multilingual"``, a folder, or a hub name.
    strategy : a name of `STRATEGIES`.
    frozen_layers : for ``"upper"``; half of the layers by default.
    layer_decay : factor of the learning rate from one layer to the one below it.
    reinit_layers : top layers that start from random weights (Zhang et al. 2021).
    lora_rank : for ``"lora"``.
    warm_start : a further `fit` starts from the weights of the last one (sequential transfer);
        the head is kept where the classes are the same, and new where they differ.
    learning_rate : by default 1e-4 below 50 million trainable parameters and 2e-5 above, where
        larger steps forget what was learned before; ten times that for ``"lora"``.

    The other parameters are those of `TorchEstimator`.
    """

    encoder: str = "minilm"
    _: KW_ONLY
    strategy: str = "full"
    frozen_layers: int | None = None
    layer_decay: float = 1.0
    reinit_layers: int = 0
    lora_rank: int = 8
    warm_start: bool = False

    _strategies = tuple(STRATEGIES)
    _first_stage = ""  # as `training.fit` takes it
    _soft = None  # probabilities, as `losses.cross_entropy_loss` takes them
    _head_class = "SequenceClassification"  # the ending of the auto class of transformers

    def _check(self) -> None:
        if self.strategy not in self._strategies:
            raise unknown("strategy", self.strategy, self._strategies)

    def _load(self, encoder: str, classes: Sequence | None = None) -> None:
        import transformers

        from workbench.training import speed, strategies

        transformers.set_seed(self.seed)
        self._tokenizer = encoders.tokenizer(encoder)
        names = [str(c) for c in (self.classes_ if classes is None else classes)]
        config = encoders.configuration(
            encoder, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}
        )
        settings = speed.for_training(config) | {"pad_token_id": self._tokenizer.pad_token_id}
        attention = settings.pop("attn_implementation", None)
        # What reads text may have a configuration of its own inside (Gemma 3).
        config.get_text_config().update(settings)
        self._model = strategies.start(self, encoders.load(
            encoder, self._head_class, config=config, ignore_mismatched_sizes=True,
            attn_implementation=attention,
        ))  # fmt: skip

    def _train(self, train: Encoded, held_out: Encoded | None, weights) -> tuple:
        """The trained classifier and what is to be reported of its training."""
        from workbench import training
        from workbench.training import losses, strategies, upper_layers

        model, callbacks = self._model, []
        if self.reinit_layers:
            strategies.reinitialise(model, self.reinit_layers)
        rates = strategies.layer_rates(model, self.layer_decay)
        learning_rate = self.learning_rate or training.default_learning_rate(model)
        trained = model
        if self.strategy == "upper":
            trained = upper_layers.UpperLayers(model, self.frozen_layers)
            for rows in filter(None, (train, held_out)):
                trained.precompute(rows, self.precision)
        elif self.strategy == "gradual":
            callbacks = [strategies.Gradual(model)]
        elif self.strategy == "lora":
            trained = strategies.with_adapters(model, self.lora_rank)
            learning_rate *= 1 if self.learning_rate else 10
        loss = losses.cross_entropy_loss(weights, self.label_smoothing, self._soft)
        objective, loss, options = self._objective(trained, loss)
        callbacks += options.pop("trainer_callbacks", [])
        report = training.fit(
            objective, train, self.history_, self, learning_rate=learning_rate,
            validation=held_out, loss=loss, rates=strategies.of_wrapped(rates, objective, model),
            trainer_callbacks=callbacks, first_stage=self._first_stage, **options,
        )  # fmt: skip
        if self.strategy == "lora":
            model = trained.merge_and_unload()
        return model.requires_grad_(True), report

    def _objective(self, model, loss) -> tuple:
        """What is trained around `model`, by what loss, and further arguments of `training.fit`."""
        return model, loss, {}


@dataclass(eq=False, repr=False)
class TextClassifier(TorchClassifier, PretrainedEstimator):
    """A pretrained encoder with a classification head.

    Parameters
    ----------
    strategy : which weights are trainable.
        ``"full"``: all of them; of an encoder of many languages all but its token embeddings.
        ``"frozen"``: none; logistic regression on mean-pooled vectors, which are computed once.
        ``"contrastive"``: all, by pairs of texts: the mean-pooled vectors of one class are drawn
        together and those of others apart, then logistic regression on them (SetFit, Tunstall et
        al. 2022, with the loss of Khosla et al. 2020). By default batches of 32 and half of the
        epochs of ``"full"``; ``validation`` is not used.
        ``"upper"``: the layers above ``frozen_layers``; the hidden states below are computed
        once and stored, so a step costs what the upper layers cost.
        ``"gradual"``: first the head, at last all (Howard & Ruder 2018).
        ``"lora"``: low-rank adapters of ``lora_rank`` and the head (Hu et al. 2022).

    The other parameters are those of `PretrainedEstimator` and `TorchClassifier`.
    """

    def _fit(self, texts: list[str], codes: np.ndarray, validation, encoder=None) -> dict:
        """Train the head, or the classifier that starts from `encoder` (by default `self.encoder`).

        A frozen `encoder` is kept in memory, because its folder may vanish.
        """
        if encoder and self.warm_start:
            raise UserError(f"{type(self).__name__} has a start of its own: omit warm_start.")
        if self.strategy == "contrastive":
            report = self._contrast(texts, codes, encoder or self.encoder)
            return self._fit_head(texts, codes) | report
        if self.strategy == "frozen":
            tokenizer = model = None
            if encoder or (self.warm_start and hasattr(self, "_model")):
                from workbench.training import strategies

                tokenizer, model = encoders.for_encoding(encoder or self.encoder)
                strategies.start(self, model)
            self._tokenizer, self._model = tokenizer, model
            return self._fit_head(texts, codes)
        self._load(encoder or self.encoder)
        train = self._encoded(texts, codes)
        held_out = self._encoded(*validation) if validation else None
        self._model, report = self._train(train, held_out, self._weights(codes))
        return report

    def with_defaults(self, texts: int) -> "TextClassifier":
        filled = super().with_defaults(texts)
        if self.strategy == "contrastive":  # a larger batch has more pairs, and a text many of them
            filled.batch_size = self.batch_size or 32
            filled.epochs = filled.epochs if self.epochs else max(3, filled.epochs // 2)
        return filled

    def _contrast(self, texts: list[str], codes: np.ndarray, encoder: str) -> dict:
        """Train the encoder by the pairs of each batch; what is to be reported of it."""
        import transformers

        from workbench import training
        from workbench.models import networks
        from workbench.training import devices, losses, speed, strategies

        if devices.ranks()[1] > 1:
            raise UserError(
                "strategy='contrastive' compares the texts of a whole batch, which several ranks "
                "would divide: train it in one process, or choose 'full' or 'lora'."
            )
        transformers.set_seed(self.seed)
        self._tokenizer = encoders.tokenizer(encoder)
        bare = encoders.load(encoder, **speed.for_training(encoders.configuration(encoder)))
        self._model = strategies.start(self, bare)
        rate = self.learning_rate or training.default_learning_rate(self._model)
        vectors = networks.SentenceVectors(self._model, self._tokenizer.pad_token_id)
        rates = strategies.layer_rates(self._model, self.layer_decay)
        report = training.fit(
            vectors, self._encoded(texts, codes), self.history_, self, learning_rate=rate,
            loss=losses.contrastive_loss(), first_stage=self._first_stage,
            rates=strategies.of_wrapped(rates, vectors, self._model),
        )  # fmt: skip
        # As it would be loaded from its folder: another attention rounds in other places.
        trained, self._model = self._model, encoders.load(encoder)
        self._model.load_state_dict(trained.state_dict())
        encoders.to_encode(self._model)
        return report

    def _fit_head(self, texts: list[str], codes: np.ndarray) -> dict:
        from sklearn.linear_model import LogisticRegression

        vectors = self._vectors(texts)
        # Unit vectors are short: C=10 regularises them about as C=1 does raw features.
        weight = self._weights(codes)
        self._head = LogisticRegression(
            C=10, max_iter=1000, random_state=self.seed,
            class_weight=None if weight is None else dict(enumerate(weight)),
        )  # fmt: skip
        self._head.fit(vectors, codes)
        trainable = self._head.coef_.size + self._head.intercept_.size
        return {"trainable_parameters": trainable, "texts": len(texts)}

    def _vectors(self, texts: list[str]) -> np.ndarray:
        if self._model is None:
            return encoders.encode(texts, self.encoder, self.max_length)
        return encoders.embed(self._tokenizer, self._model, texts, self.max_length)

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        if self.strategy not in WITH_HEAD_APART:
            return super()._probabilities(texts)
        return self._head.predict_proba(self._vectors(texts))

    def _encoded(self, texts: Sequence[str], codes=None) -> Encoded:
        tokenizer, model = self._tokenizer, self._model
        if model is None:  # frozen
            tokenizer, model = encoders.ready(self.encoder)
        return encoders.encoded(model, tokenizer, texts, self.max_length, codes)


@dataclass(eq=False, repr=False)
class NetworkClassifier(TorchClassifier):
    """A small network trained from nothing: `networks.Network` on the words of the training texts.

    Parameters
    ----------
    kind : ``"cnn"``, ``"rnn"``, ``"lstm"`` or ``"gru"``.
    vectors : word vectors to start from: `KeyedVectors`, a word2vec or GloVe file, or ``"minilm"``
        for vectors distilled from that encoder; None starts at random.
    size : dimensions of random vectors.
    hidden : filters of each width, or units in each direction.
    dropout : of the words and of the pooled vector.
    min_count : rarer words share one vector.
    learning_rate : by default 2e-3.
    precision : fp32 by default: the matrices are too small to gain by bf16.

    The other parameters are those of `TorchClassifier`.
    """

    kind: str = "cnn"
    _: KW_ONLY
    vectors: object = None
    size: int = 100
    hidden: int = 100
    dropout: float = 0.3
    min_count: int = 2
    epochs: float = 10
    precision: str = "fp32"

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        import transformers

        from workbench import training
        from workbench.models import networks
        from workbench.training import losses

        transformers.set_seed(self.seed)
        self._words = networks.Vocabulary(texts, self.min_count)
        start = networks.starting_vectors(self._words, self.size, self._given_vectors())
        self._model = self._network(start)
        return training.fit(
            self._model, self._encoded(texts, codes), self.history_, self,
            learning_rate=self.learning_rate or 2e-3,
            validation=self._encoded(*validation) if validation else None,
            loss=losses.cross_entropy_loss(self._weights(codes), self.label_smoothing),
        )  # fmt: skip

    def _network(self, start):
        from workbench.models import networks

        return networks.Network(self.kind, start, len(self.classes_), self.hidden, self.dropout)

    def _given_vectors(self):
        from workbench.models import vectors

        if not isinstance(self.vectors, (str, Path)):
            return self.vectors
        if self.vectors == encoders.BUNDLED:
            return vectors.distil(self._words.words, self.vectors)
        return vectors.load(self.vectors)

    def _encoded(self, texts: Sequence[str], codes=None) -> Encoded:
        rows, truncated = self._words.rows(texts, self.max_length)
        return Encoded(rows, self._words.pad_token_id, codes, truncated)
