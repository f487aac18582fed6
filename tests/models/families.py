"""Tiny checkpoints of every architecture of `transformers` that classifies texts."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

FAMILIES = dict(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
CANNOT_BE_MADE = {"layoutlmv2": "its pictures need detectron2"}
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>",
           "mask_token": "<mask>"}  # fmt: skip
WORDS = [*SPECIAL.values(), *"the a book film pan it was great superb good love".split(),
         *"bad dull awful hate my and very . , !".split()]  # fmt: skip
# What configurations call the sizes of a network.
_SMALL = {
    32: "hidden_size d_model n_embd dim emb_dim embedding_size true_hidden_size d_latents "
        "intra_bottleneck_size rotary_emb_base",
    2: "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers depth "
       "num_decoder_layers num_experts_per_tok num_self_attends_per_block",
    4: "num_attention_heads n_head n_heads num_heads encoder_attention_heads num_key_value_heads "
       "decoder_attention_heads qk_rope_head_dim qk_nope_head_dim num_experts num_local_experts "
       "n_routed_experts linear_num_key_heads linear_num_value_heads",
    8: "head_dim d_head d_kv v_head_dim q_lora_rank kv_lora_rank num_latents attention_window "
       "linear_key_head_dim linear_value_head_dim patch_size mamba_headdim",
    64: "intermediate_size d_inner n_inner d_ff ffn_dim hidden_dim encoder_ffn_dim dff "
        "decoder_ffn_dim ffn_hidden_size max_position_embeddings n_positions max_seq_len "
        "num_hash_buckets max_2d_position_embeddings moe_intermediate_size "
        "shared_expert_intermediate_size image_size out_hidden_size",
    1: "n_group topk_group first_k_dense_replace num_blocks pad_token_id",
    0: "bos_token_id",
    len(WORDS): "vocab_size entity_vocab_size pronunciation_vocab_size shape_vocab_size",
}  # fmt: skip
_SIZES = {name: size for size, names in _SMALL.items() for name in names.split()}
_SIZES |= {"eos_token_id": 2, "decoder_start_token_id": 2, "block_sizes": [1, 1]}
_HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
_ROPE = {"rope_type": "default", "rope_theta": 1e4}
_OWN = {
    "axk1": {"head_dim": None}, "deepseek_v3": {"head_dim": None}, "falcon": {"head_dim": None},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE,
                                                "sliding_attention": _ROPE}},
    "funnel": {"num_hidden_layers": None, "num_blocks": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4, "visual_embed": False},
    "lilt": {"hidden_size": 48},
    "luke": {"entity_emb_size": 8},
    "mt5": {"decoder_start_token_id": 1}, "t5": {"decoder_start_token_id": 1},
    "qwen3_5_text": _HYBRID, "qwen3_next": _HYBRID,
    "reformer": {"num_hidden_layers": None, "axial_pos_embds_dim": [16, 16],
                 "attn_layers": ["local", "lsh"]},
    "xlnet": {"max_position_embeddings": None},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2, "num_hidden_layers": 4},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"]},
}  # fmt: skip


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Words in the middle, ``<s>`` before and ``</s>`` after."""
    ids = {word: i for i, word in enumerate(WORDS)}
    words = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)


def classifier(family: str):
    """A classifier of the architecture `family` with random weights."""
    config = transformers.CONFIG_MAPPING[family]
    config = config(**_small(config(), _OWN.get(family, {})))
    torch.manual_seed(0)
    return getattr(transformers, FAMILIES[family])(config).eval()


def make(family: str, folder: Path) -> str:
    """Write a classifier of the architecture `family`, with random weights, to `folder`."""
    classifier(family).save_pretrained(folder)
    letters = {"canine": transformers.CanineTokenizer}
    letters.get(family, tokenizer)().save_pretrained(folder)
    return str(folder)


def _small(config, own: dict) -> dict:
    sizes = {name: size for name, size in _SIZES.items() if hasattr(config, name)} | own
    for name, part in vars(config).items():
        if isinstance(part, transformers.PreTrainedConfig):
            sizes[name] = _small(part, _OWN.get(part.model_type, {})) | {
                "model_type": part.model_type
            }
    return {name: size for name, size in sizes.items() if size is not None}
