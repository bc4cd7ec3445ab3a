"""Shared by tests: CHAT, SENTENCE, WORDS, changed_decoding, make_tokenizer, profiler, save_model."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pte.profiler.engine.decode import Decoding
from pte.profiler.prompt import Evidence
from pte.profiler.transformers import TransformersProfiler

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


SENTENCE = "Ġbrave Ġtoys Ġwin Ġover Ġold Ġfoes Ġin Ġa Ġquick Ġfunny Ġquiet Ġtown Ġwhere Ġrain Ġfalls ."


WORDS = SENTENCE.split(" ")


def make_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """A text becomes bytes; a model may also answer in words. Two special tokens."""
    vocabulary = {
        token: i for i, token in enumerate([*sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"."}), *WORDS])
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.chat_template = CHAT if chat else None
    return fast


def save_model(path: Path) -> None:
    """Fill a model folder as `save_pretrained` does: a tiny random Llama, peaked."""
    tokenizer = make_tokenizer(chat=True)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data.mul_(30)  # peaked: texts differ from prompt to prompt
    model.lm_head.weight.data[: len(tokenizer) - len(WORDS) - 2] = 0  # words win over bytes
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def profiler(folder, **changes) -> TransformersProfiler:
    values = {
        "model": str(folder),
        "sha256": None,
        "revision": None,
        "num_candidates": 3,
        "rounds": 2,
        "item_forms": ["what", "alone"],
        "user_forms": ["taste", "wish"],
        "evidence": Evidence(),
        "decoding": changed_decoding(),
        "batch_size": 4,
        "device": "cpu",
        "dtype": "float32",
    }
    return TransformersProfiler(**values | changes)


def changed_decoding(**changes) -> Decoding:
    values = {"temperatures": [0.7, 1.0], "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.1, "max_new_tokens": 8}
    return Decoding(**values | changes)
