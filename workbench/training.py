"""Training on `transformers.Trainer` with the settings that suit a CPU, for every torch model."""

import tempfile
from collections.abc import Sequence

import numpy as np

from workbench import encoders
from workbench.history import History


class Encoded:
    """Tokenised texts as one flat array with offsets: a map-style dataset for `Trainer`.

    Lists of Python integers would take nine times the memory.
    """

    def __init__(self, tokenizer, texts: Sequence[str], max_length: int, codes=None) -> None:
        self.truncated = 0
        rows = []
        for start in range(0, len(texts), 1000):
            found = tokenizer(
                list(texts[start : start + 1000]), truncation=True, max_length=max_length,
                return_overflowing_tokens=True, return_attention_mask=False,
            )  # fmt: skip
            # What does not fit comes back as further rows of the same text.
            owners = found["overflow_to_sample_mapping"]
            _, firsts, pieces = np.unique(owners, return_index=True, return_counts=True)
            self.truncated += int((pieces > 1).sum())
            # An empty text has no tokens with some tokenizers, and no model takes none.
            blank = [tokenizer.pad_token_id]
            rows += [np.asarray(found["input_ids"][i] or blank, np.int32) for i in firsts]
        self.length = [len(row) for row in rows]
        self._ids = np.concatenate(rows)
        self._ends = np.cumsum(self.length)
        self._codes = codes

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, index: int) -> dict:
        ids = self._ids[self._ends[index] - self.length[index] : self._ends[index]]
        row = {"input_ids": ids.tolist()}
        if self._codes is not None:
            row["labels"] = int(self._codes[index])
        return row

    def report(self) -> dict:
        return {"texts": len(self), "tokens": int(self._ends[-1]), "truncated": self.truncated}


def fit_with_trainer(
    model, train, tokenizer, history: History, *, epochs: float, batch_size: int, warmup: float,
    learning_rate: float | None, weight_decay: float, max_grad_norm: float, seed: int,
    validation=None, metrics=None, collator=None, prefix: str = "",
) -> None:  # fmt: skip
    """Train `model` in place with `transformers.Trainer`, on the settings that suit a CPU.

    Texts of like length share a batch (half of a random batch is padding), AdamW is the fused one,
    and bf16 is used where the processor has units for it. ``prefix`` names the rows of the
    history: ``"mlm_"`` makes ``mlm_loss``.
    """
    import transformers

    steps = max(1, int(np.ceil(len(train) / batch_size) * epochs))
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder, num_train_epochs=epochs, per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=2 * batch_size, warmup_steps=int(warmup * steps),
            learning_rate=learning_rate or default_rate(model), weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            optim="adamw_torch_fused", bf16=precision() == "bf16", use_cpu=not accelerated(),
            logging_steps=max(1, steps // 50),
            eval_strategy="epoch" if validation else "no", save_strategy="no", report_to="none",
            disable_tqdm=True, seed=seed, remove_unused_columns=False, dataloader_pin_memory=False,
        )  # fmt: skip
        collator = collator or transformers.DataCollatorWithPadding(tokenizer)
        trainer = _trainer_class()(
            model=model, args=arguments, train_dataset=train, eval_dataset=validation,
            data_collator=collator, compute_metrics=metrics,
            callbacks=[_reporter(history, prefix)],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    model.eval()


def fast_attention(encoder: str) -> dict:
    """Settings that halve the time of a step on a CPU where the model knows them.

    Dropout inside attention draws a random number for every pair of tokens; hidden dropout stays.
    Eager attention has the faster backward pass on CPUs.
    """
    import torch

    if torch.cuda.is_available():
        return {}
    config = encoders.configuration(encoder)
    known = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
    found = {name: 0.0 for name in known if hasattr(config, name)}
    return {**found, "attn_implementation": "eager"}


def parameter_counts(model) -> dict[str, int]:
    """All parameters and those that training moves."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "parameters": sum(n for n, _ in sizes),
        "trainable_parameters": sum(n for n, moves in sizes if moves),
    }


def default_rate(model) -> float:
    """1e-4 below 50 million parameters, 2e-5 above (Devlin et al. 2019 for BERT)."""
    return 1e-4 if parameter_counts(model)["parameters"] < 50e6 else 2e-5


def _trainer_class():
    import transformers
    from transformers.trainer_pt_utils import LengthGroupedSampler

    class GroupingTrainer(transformers.Trainer):
        """`Trainer` reads lengths off a `datasets.Dataset` column only; ours knows them already."""

        def _get_train_sampler(self, train_dataset=None):
            import torch

            generator = torch.Generator().manual_seed(self.args.seed)
            return LengthGroupedSampler(
                self.args.train_batch_size, lengths=self.train_dataset.length, generator=generator
            )

    return GroupingTrainer


def _reporter(history: History, prefix: str):
    import transformers

    class Reporter(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                history.report(
                    step=state.global_step, epoch=logs["epoch"], steps=state.max_steps,
                    learning_rate=logs["learning_rate"], **{f"{prefix}loss": logs["loss"]},
                )  # fmt: skip

        def on_evaluate(self, args, state, control, metrics=None, **_):
            scores = {
                f"validation_{prefix}{key}": metrics[f"eval_{key}"]
                for key in ("loss", "accuracy")
                if f"eval_{key}" in metrics
            }
            history.report(step=state.global_step, epoch=state.epoch, **scores)

    return Reporter()


def accuracy(prediction) -> dict[str, float]:
    """What `Trainer` asks after each evaluation."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def accelerated() -> bool:
    """Whether `Trainer` finds a GPU; told otherwise, it refuses bf16 on a processor."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def precision() -> str:
    """``"bf16"`` where the processor has units for it; emulated bf16 is slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = (getattr(torch.cpu, name, lambda: False)() for name in units)
    return "bf16" if any(found) else "fp32"


def probabilities(model, tokenizer, texts: Sequence[str], max_length: int) -> np.ndarray:
    """Class probabilities, shape (n, classes), in batches of like length."""
    import torch

    if not texts:
        return np.empty((0, model.config.num_labels))
    rows = Encoded(tokenizer, texts, encoders.longest(model, max_length))
    found = np.empty((len(texts), model.config.num_labels))
    device = next(model.parameters()).device
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, precision() == "bf16"),
    ):
        for batch in encoders.batches_by_length(rows.length):
            inputs = tokenizer.pad([rows[i] for i in batch], return_tensors="pt").to(device)
            # Double precision, so that the rows sum to one to the last digit.
            found[batch] = model(**inputs).logits.double().softmax(-1).cpu().numpy()
    return found
