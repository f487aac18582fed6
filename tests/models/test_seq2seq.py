"""From one text to another: teacher forcing, beam search, saving, and where the decoder looked."""

import copy

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from benchmarks import phrases
from workbench import models
from workbench.errors import UserError
from workbench.models import encoders
from workbench.models.seq2seq import Seq2Seq
from workbench.training import inference

PAIRS = phrases.pairs(60)
EN, ZH = list(PAIRS["en"]), list(PAIRS["zh"])
FAMILIES = ["t5", "bart", "marian", "mbart"]
SMALL = {"precision": "fp32", "size": 32, "layers": 1, "vocabulary": 300, "epochs": 1,
         "batch_size": 16}  # fmt: skip
SHORT = {"epochs": 1, "batch_size": 30, "max_length": 40, "max_new_tokens": 8}
VERDICTS = "never good,great,superb,bad,dull,awful,not bad,good and great".split(",")
WORDS = [f"the {noun} was {verdict}" for noun in ("book", "film", "pan") for verdict in VERDICTS]
ANSWERS = [text.replace("the", "a") for text in WORDS]


@pytest.fixture(scope="module", params=["gru", "transformer"])
def fitted(request):
    return Seq2Seq(request.param, **SMALL).fit(EN, ZH, validation=(EN[:9], ZH[:9]))


@pytest.fixture(scope="module")
def learned():
    """A GRU that has learned ten pairs by heart."""
    settings = {"epochs": 80, "dropout": 0.0, "label_smoothing": 0.0, "size": 64}
    return Seq2Seq("gru", batch_size=10, learning_rate=1e-2, **settings).fit(EN[:10], ZH[:10])


def test_what_was_learned_by_heart_is_written(learned):
    assert learned.predict(EN[:10]) == ZH[:10]


def test_the_same_seed_gives_the_same_translation(fitted):
    again = Seq2Seq(**fitted.get_params()).fit(EN, ZH, validation=(EN[:9], ZH[:9]))
    assert again.predict(EN[:20]) == fitted.predict(EN[:20])
    losses = [each.history_.column("validation_loss") for each in (fitted, again)]
    assert losses[0] == losses[1]
    other = Seq2Seq(**fitted.get_params() | {"seed": 1}).fit(EN, ZH, validation=(EN[:9], ZH[:9]))
    assert other.history_.column("validation_loss") != losses[0]


def test_the_decoder_is_given_the_tokens_before(fitted):
    batch = fitted._pairs(EN, ZH).__getitems__([0, 1, 2])
    given, labels = batch["decoder_input_ids"], batch["labels"]
    assert (given[:, 0] == fitted._model.config.decoder_start_token_id).all()
    real = labels[:, 1:] != -100
    assert torch.equal(given[:, 1:][real], labels[:, :-1][real])
    ends = [row[row != -100][-1].item() for row in labels]
    assert ends == [fitted._tokenizer.eos_token_id] * 3


def test_no_position_sees_the_tokens_after(fitted):
    batch = fitted._pairs(EN, ZH).__getitems__([0])
    batch.pop("labels")
    changed = batch | {"decoder_input_ids": batch["decoder_input_ids"].clone()}
    changed["decoder_input_ids"][0, 5:] = 7
    with torch.inference_mode():
        before, after = (fitted._model(**each).logits[0] for each in (batch, changed))
    assert torch.allclose(before[:5], after[:5], atol=1e-6)
    assert not torch.allclose(before[5:], after[5:], atol=1e-4)


def test_padding_changes_nothing(fitted):
    pairs = fitted._pairs(EN, ZH)
    shortest, longest = np.argsort(pairs.sources.length)[[0, -1]]
    alone, beside = pairs.__getitems__([shortest]), pairs.__getitems__([shortest, longest])
    n = alone["labels"].shape[1]
    with torch.inference_mode():
        scores = [fitted._model(**{k: v for k, v in each.items() if k != "labels"}).logits[0, :n]
                  for each in (alone, beside)]  # fmt: skip
    assert torch.allclose(*scores, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_transformers(family, checkpoint):
    model = Seq2Seq(str(checkpoint(family)), label_smoothing=0.0, precision="fp32", **SHORT)
    rate = {"learning_rate": 1e-9}  # one step that changes nothing
    model.set_params(**rate).fit(WORDS, ANSWERS, validation=(WORDS, ANSWERS))
    batch = model._pairs(WORDS, ANSWERS).__getitems__(np.arange(len(WORDS)))
    with torch.inference_mode():
        theirs = encoders.load(model.checkpoint, "Seq2SeqLM")(
            **{k: v for k, v in batch.items() if k != "decoder_input_ids"}
        ).loss.item()
    assert model.history_.column("validation_loss")[1] == [pytest.approx(theirs, rel=1e-5)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_trained_writes_and_is_opened_again(family, checkpoint, tmp_path):
    model = Seq2Seq(str(checkpoint(family)), precision="fp32", learning_rate=1e-3, **SHORT)
    before = encoders.load(model.checkpoint, "Seq2SeqLM").state_dict()
    model.set_params(batch_size=12).fit(WORDS, ANSWERS)
    assert model.training_info_["steps"] == 2
    after = model._model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    model.save(tmp_path / "saved")
    opened = models.open(tmp_path / "saved")
    assert opened.predict(WORDS) == model.predict(WORDS)
    tokens, written, matrix = opened.attention(WORDS[0])
    assert matrix.shape == (len(written), len(tokens))


def test_a_checkpoint_writes_before_it_is_trained(checkpoint):
    folder = str(checkpoint("bart"))
    writing = Seq2Seq(folder, **SHORT)
    assert writing.predict(WORDS) == Seq2Seq(folder, **SHORT).predict(WORDS)
    trained = Seq2Seq(folder, **SHORT | {"learning_rate": 1e-9}).fit(WORDS, ANSWERS)
    assert writing.predict(WORDS) == trained.predict(WORDS)
    with pytest.raises(NotFittedError):
        Seq2Seq("gru").predict(WORDS)
    with pytest.raises(UserError, match="beams must be"):
        trained.predict(WORDS, beams=0)


def test_one_from_nothing_is_opened_again_and_trained_on(fitted, tmp_path):
    fitted.save(tmp_path / "first")
    opened = models.open(tmp_path / "first")
    assert opened.predict(EN) == fitted.predict(EN)
    more = Seq2Seq(str(tmp_path / "first"), learning_rate=1e-9, epochs=1, batch_size=60)
    more.fit(EN, ZH, validation=(EN[:9], ZH[:9]))
    last, then = (each.history_.column("validation_loss")[1][-1] for each in (fitted, more))
    assert then == pytest.approx(last, rel=1e-3)


def test_attention_has_a_row_for_each_token_written(fitted):
    for source in EN[:3]:
        tokens, written, matrix = fitted.attention(source)
        assert matrix.shape == (len(written), len(tokens))
        assert np.allclose(matrix.sum(axis=1), 1, atol=0.01)
        assert (matrix >= 0).all()
        assert tokens[-1] == "</s>"
        assert "".join(tokens[:-1]) == source.replace(" ", "")
        text = "".join(written).removesuffix("</s>")
        assert text == fitted.predict([source])[0].replace(" ", "")


def test_one_beam_takes_the_likeliest_token(learned):
    with torch.inference_mode():
        for source in EN[20:25]:  # not among what was learned: the choice is not clear
            ids = torch.tensor([[learned._model.config.decoder_start_token_id]])
            batch = learned._encoded([source]).__getitems__([0])
            while ids.shape[1] <= learned.max_new_tokens and ids[0, -1] != 2:
                with torch.autocast("cpu", torch.bfloat16, inference.precision() == "bf16"):
                    scores = learned._model(**batch, decoder_input_ids=ids).logits[0, -1]
                ids = torch.cat([ids, scores.argmax().view(1, 1)], 1)
            greedy = learned._tokenizer.decode(ids[0], skip_special_tokens=True)
            assert learned.predict([source], beams=1) == [greedy]


def test_more_beams_find_what_is_no_less_likely(learned):
    def log_probability(source: str, written: str) -> float:
        batch = learned._pairs([source], [written]).__getitems__([0])
        labels = batch.pop("labels")
        with torch.inference_mode():
            scores = learned._model(**batch).logits.log_softmax(-1)
        return scores.gather(-1, labels[..., None]).sum().item()

    learned.set_params(length_penalty=0.0)
    one, many = (learned.predict(EN[20:40], beams) for beams in (1, 6))
    pairs = list(zip(EN[20:40], one, many, strict=True))
    gains = [log_probability(s, b) - log_probability(s, a) for s, a, b in pairs]
    assert one != many
    assert sum(gains) > 0


def test_length_control(learned):
    short = copy.copy(learned).set_params(max_new_tokens=3)
    assert {len(text) for text in short.predict(EN[:10])} == {2}  # the first piece is a space
    short, long = (copy.copy(learned).set_params(length_penalty=p, beams=6) for p in (0.0, 5.0))
    lengths = [sum(map(len, each.predict(EN[20:40]))) for each in (short, long)]
    assert lengths[0] < lengths[1]


def test_embeddings_of_an_encoder_are_where_it_starts():
    plain, warm = (Seq2Seq("gru", embeddings_from=name, **SMALL) for name in (None, "minilm"))
    for model in (plain, warm):
        model._load((EN, ZH))
    tables = [model._model.get_input_embeddings().weight for model in (plain, warm)]
    assert tables[0].shape == tables[1].shape
    assert tables[0].std().item() == pytest.approx(tables[1].std().item(), rel=0.05)
    pieces = [warm._tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("shop", "cups", "cup")]
    vectors = torch.nn.functional.normalize(tables[1][pieces].detach())
    assert vectors[1] @ vectors[2] > vectors[0] @ vectors[2] + 0.2
    Seq2Seq("gru", embeddings_from="minilm", **SMALL | {"size": 512})._load((EN, ZH))  # few pieces


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (EN[:3], ZH[:2], "There are 3 sources and 2 targets"),
        ([], [], "There are 0 sources and 0 targets"),
        ([*EN[:2], "  "], ZH[:3], "1 of 3 sources are empty, the first in row 2"),
        (EN[:3], [ZH[0], "", ""], "2 of 3 targets are empty, the first in row 1"),
        ("one text", ["eins"], "Expected sources as a list"),
        ([*EN[:2], None], ZH[:3], "Row 2 of sources is missing"),
    ],
)
def test_what_is_no_pair_is_refused(sources, targets, message):
    with pytest.raises(UserError, match=message):
        Seq2Seq("gru", **SMALL).fit(sources, targets)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beams": 0}, "beams must be a whole number of at least 1"),
        ({"vocabulary": 2.5}, "vocabulary must be"),
        ({"layers": 0}, "layers must be"),
        ({"max_new_tokens": 0}, "max_new_tokens must be"),
        ({"length_penalty": "long"}, "length_penalty must be"),
        ({"checkpoint": "transfomer"}, "did you mean 'transformer'"),
        ({"embeddings_from": "minlim"}, "did you mean 'minilm'"),
        ({"size": 33}, "size"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Seq2Seq(**SMALL | settings).fit(EN, ZH)


def test_what_is_no_sequence_to_sequence_model_is_refused(checkpoint, tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        Seq2Seq(str(checkpoint("bert")), **SHORT).fit(WORDS, ANSWERS)
    with pytest.raises(UserError, match="holds no checkpoint"):
        Seq2Seq(str(tmp_path), **SHORT).fit(WORDS, ANSWERS)


def test_a_piece_that_reads_like_the_end_of_a_text_is_text(fitted):
    rows = fitted._encoded(["We </s> sold"])
    assert (rows[0] == fitted._tokenizer.eos_token_id).sum() == 1


@pytest.mark.parametrize("network", ["gru", "transformer"])
def test_validation_and_early_stopping(network):
    with pytest.raises(UserError, match="patience"):
        Seq2Seq(network, patience=1, **SMALL).fit(EN, ZH)
    model = Seq2Seq(network, **SMALL | {"patience": 1, "epochs": 3})
    model.fit(EN, ZH, validation=(EN[:5], ZH[:5]))
    rows = [row for row in model.history_ if "validation_loss" in row]
    tokens = sum(len(ids) for ids in model._tokenizer(ZH[:5])["input_ids"])
    assert {row["validation_n"] for row in rows} == {tokens}
