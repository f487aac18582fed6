"""Sequence-to-sequence networks from nothing: a GRU with attention, a small transformer, pieces.

Torch is imported with this module, which is imported only where such a network is built or read.
"""

import math
from collections.abc import Iterable

import torch
import transformers
from torch import nn
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

PADDING, UNKNOWN, END = SPECIAL = ("<pad>", "<unk>", "</s>")


class GRUConfig(transformers.PreTrainedConfig):
    """Settings of `GRUWithAttention`; the names are those of transformers."""

    model_type = "gru-with-attention"

    vocab_size: int = 1000
    d_model: int = 256
    dropout: float = 0.2
    is_encoder_decoder: bool = True
    use_cache: bool = False
    pad_token_id: int | None = 0
    eos_token_id: int | None = 2
    decoder_start_token_id: int | None = 0


class _Encoder(nn.Module):
    """Reads in both directions: a vector for each token of the source."""

    main_input_name = "input_ids"

    def __init__(self, table: nn.Embedding, dropout: float) -> None:
        super().__init__()
        size = table.embedding_dim
        self.embed_tokens, self.dropout = table, nn.Dropout(dropout)
        self.gru = nn.GRU(size, size // 2, batch_first=True, bidirectional=True)

    def forward(self, input_ids, attention_mask, **_):
        lengths = attention_mask.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.embed_tokens(input_ids)), lengths, True, enforce_sorted=False
        )
        hidden, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], True, total_length=input_ids.shape[1]
        )
        return BaseModelOutput(last_hidden_state=self.dropout(hidden))


class GRUWithAttention(transformers.PreTrainedModel, transformers.GenerationMixin):
    """A GRU reads the source, another writes the target and looks back at the source.

    The decoder's lower layer asks, by a product with each vector of the source (Luong et al. 2015);
    the upper layer reads the answer, a weighted mean of them. So a whole target is one call of
    each layer in training, where the tokens before are given (teacher forcing). `generate` reads
    the tokens written so far anew at each step.
    """

    config_class = GRUConfig
    base_model_prefix = "model"

    def __init__(self, config: GRUConfig) -> None:
        super().__init__(config)
        size = config.d_model
        table = nn.Embedding(config.vocab_size, size, config.pad_token_id)
        self.encoder = _Encoder(table, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.start = nn.Linear(size, size)
        self.lower = nn.GRU(size, size, batch_first=True)
        self.query = nn.Linear(size, size, bias=False)
        self.upper = nn.GRU(2 * size, size, batch_first=True)
        self.output = nn.Linear(2 * size, size)
        self.lm_head = nn.Linear(size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        pass  # torch's own start: with the small one of transformers it learns far more slowly

    def get_input_embeddings(self) -> nn.Embedding:
        return self.encoder.embed_tokens

    def forward(
        self, input_ids=None, attention_mask=None, decoder_input_ids=None, encoder_outputs=None,
        logits_to_keep=0, **_,
    ) -> Seq2SeqLMOutput:  # fmt: skip
        """Logits, shape (texts, target positions, vocabulary), and the attention they rest on.

        ``cross_attentions`` holds one tensor, shape (texts, 1, target positions, source positions).
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask)
        source, mask = encoder_outputs.last_hidden_state, attention_mask.bool()
        mean = (source * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        start = self.start(mean).tanh()[None]
        written = self.dropout(self.get_input_embeddings()(decoder_input_ids))
        asking, _ = self.lower(written, start)
        scores = self.query(asking) @ source.mT
        weights = scores.float().masked_fill(~mask[:, None], -torch.inf).softmax(-1)
        seen = weights.to(source.dtype) @ source
        hidden, _ = self.upper(self.dropout(torch.cat([asking, seen], -1)), start)
        both = torch.cat([hidden, seen], -1)[:, -logits_to_keep:]  # `generate` reads the last alone
        hidden = self.output(self.dropout(both))
        return Seq2SeqLMOutput(
            logits=self.lm_head(self.dropout(hidden)), cross_attentions=(weights[:, None],),
            encoder_last_hidden_state=source,
        )  # fmt: skip

    def prepare_decoder_input_ids_from_labels(self, labels):
        """The labels, shifted by one: what was written before each of them."""
        return transformers.models.marian.modeling_marian.shift_tokens_right(
            labels, self.config.pad_token_id, self.config.decoder_start_token_id
        )


transformers.AutoConfig.register(GRUConfig.model_type, GRUConfig)
transformers.AutoModelForSeq2SeqLM.register(GRUConfig, GRUWithAttention)


def build(kind: str, vocabulary: int, size: int, layers: int, dropout: float):
    """An untrained network: ``"gru"`` or ``"transformer"``, which is a small Marian model."""
    common = {"vocab_size": vocabulary, "d_model": size, "dropout": dropout}
    common |= {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
    if kind == "gru":
        return GRUWithAttention(GRUConfig(**common))
    heads, inner = math.gcd(size, 4), 2 * size
    config = transformers.MarianConfig(
        **common, encoder_layers=layers, decoder_layers=layers, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=inner, decoder_ffn_dim=inner,
        activation_function="relu", scale_embedding=True, forced_eos_token_id=None,
        init_std=0.05, attn_implementation="eager",  # at 0.02 and at 0.09 it learns more slowly
    )  # fmt: skip
    return transformers.MarianMTModel(config)


def tokenizer(texts: Iterable[str], pieces: int):
    """Byte-pair encoding (Sennrich et al. 2016), learned from the texts of both languages.

    Each Chinese character, digit and punctuation mark is a piece.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, processors, trainers
    from tokenizers import pre_tokenizers as before

    found = Tokenizer(models.BPE(unk_token=UNKNOWN))
    alone = before.Split(Regex(r"\p{Han}|\p{P}|\p{N}"), "isolated")
    found.pre_tokenizer = before.Sequence([before.Metaspace(), alone])
    found.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, special_tokens=list(SPECIAL), show_progress=False
    )
    found.train_from_iterator(texts, trainer)
    found.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, SPECIAL.index(END))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=found, pad_token=PADDING, unk_token=UNKNOWN, eos_token=END
    )
