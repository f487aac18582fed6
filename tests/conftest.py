import os
import sys
from functools import partial
from pathlib import Path

import pytest

# Nothing in the tests may need a network: this process and all that it starts are cut off from it.
BLOCKER = str(Path(__file__).parent / "offline")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [BLOCKER, os.environ.get("PYTHONPATH")]))
sys.path.insert(0, BLOCKER)
import sitecustomize  # noqa: E402, F401

os.environ.setdefault("PYTHONHASHSEED", "0")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for name in ("HF_HUB_OFFLINE", "WORKBENCH_RUNS"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not os.environ.get("WORKBENCH_SLOW"):
            item.add_marker(pytest.mark.skip(reason="a simulation: set WORKBENCH_SLOW=1"))


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


# The public corpora that the project is measured on; they are not part of it.
SHARED = Path(__file__).parents[2] / "shared" / "data"
REAL_DATA = Path(os.environ.get("WORKBENCH_REAL_DATA") or SHARED).resolve()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Their folder."""
    if not REAL_DATA.is_dir():
        message = f"no real data in {REAL_DATA}: set WORKBENCH_REAL_DATA"
        if in_ci():
            pytest.fail(message)
        pytest.skip(message)
    return REAL_DATA


@pytest.fixture
def reviews():
    """Train, validation and test of the bundled English reviews."""
    from workbench import data

    return data.frames(data.load("reviews"))


WORDS = (
    "the a book film pan it was is not never good great superb love bad dull awful hate plot "
    "screen and but very with my ##s ##ing ##ed . , !"
).split()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A function that makes a tiny checkpoint of a family and returns its folder."""
    import torch

    # On so small a model two threads wait for each other more than they compute.
    torch.set_num_threads(1)

    def make(family: str) -> Path:
        folder = tmp_path_factory.mktemp(family)
        model, tokenizer = _MAKERS[family]()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


def _bert():
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(97, 123)]
    tokens = dict.fromkeys([*specials, *WORDS, *letters, *("##" + c for c in letters)])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = BertTokenizerFast(
        tokenizer_object=BertWordPieceTokenizer(vocab=vocabulary)._tokenizer
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=40,
    )  # fmt: skip
    return BertModel(config), tokenizer


def _byte_level(specials: dict):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [" ".join(WORDS)] * 5, vocab_size=400, special_tokens=list(specials.values())
    )
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, **specials)


def _roberta():
    import torch
    from transformers import RobertaConfig, RobertaModel

    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>",
             "mask_token": "<mask>"}  # fmt: skip
    tokenizer = _byte_level(names)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=42, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return RobertaModel(config), tokenizer


def _gpt2():
    import torch
    from transformers import GPT2Config, GPT2Model

    tokenizer = _byte_level({"eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=40,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return GPT2Model(config), tokenizer


def _seq2seq(family: str):
    import torch
    import transformers

    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = _byte_level(names)
    sizes = {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16, "d_ff": 64}
    if family != "t5":
        parts = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}.items()
        sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in parts}
        sizes |= {"d_model": 32, "max_position_embeddings": 64}
    config = transformers.CONFIG_MAPPING[family](
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id, forced_eos_token_id=None, **sizes,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.AutoModelForSeq2SeqLM.from_config(config), tokenizer


_MAKERS = {"bert": _bert, "roberta": _roberta, "gpt2": _gpt2}
_MAKERS |= {family: partial(_seq2seq, family) for family in ("t5", "bart", "marian", "mbart")}
