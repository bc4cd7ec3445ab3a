"""Prompts as tokens where tokenizers and templates differ, and models that state no length or carry a state."""

import pytest
import torch
from helper.transformers_profiler import CHAT, make_tokenizer, profiler
from tokenizers import processors
from transformers import AutoModelForCausalLM, BloomConfig, MambaConfig, MptConfig

from pte.profiler.base import Ask
from pte.profiler.engine.causal import Causal
from pte.profiler.prompt import Prompt
from pte.schema import InputError


def causal_with(tokenizer) -> Causal:
    causal = Causal(model="own/model", sha256=None, revision=None, device="cpu", dtype="float32")
    causal.__dict__["tokenizer"] = tokenizer
    return causal


def test_an_end_mark_that_a_tokenizer_appends_stays_out_of_the_prompt():
    tokenizer = make_tokenizer(chat=False)
    begin, end = tokenizer.convert_tokens_to_ids("<|im_start|>"), tokenizer.eos_token_id
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", begin), ("<|im_end|>", end)]
    )
    assert tokenizer("a").input_ids[-1] == end
    stem, lead = causal_with(tokenizer).tokens("Describe.", "This is")
    assert stem[0] == begin
    assert end not in stem + lead
    assert tokenizer.decode(stem[1:] + lead) == "Describe.\n\nThis is"


@pytest.mark.parametrize(
    ("opening", "ending"),
    [
        ("<think>\n", "<think>\n\n</think>\n\n"),
        ("{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}", "assistant\n"),
        ("{% if thinking | default(true) %}<think>{% endif %}", "assistant\n"),
        ("[THINK]", "[THINK]\n\n[/THINK]\n\n"),
        ("<think>\n\n</think>\n\n", "<think>\n\n</think>\n\n"),
    ],
)
def test_reasoning_that_a_template_opens_is_closed_before_the_profile(opening, ending):
    tokenizer = make_tokenizer(chat=True)
    tokenizer.chat_template = CHAT.replace("assistant\n", "assistant\n" + opening)
    stem, _ = causal_with(tokenizer).tokens("Describe <think>", "This is")
    assert tokenizer.decode(stem).endswith("<|im_start|>assistant\n" * (ending != "assistant\n") + ending)


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('roles must alternate') }}", "{{ messages[1]['content'] + 'x' }}", "{% if %}"],
)
def test_a_template_that_fails_is_one_sentence(template):
    tokenizer = make_tokenizer(chat=True)
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=r"profiler\.model=own/model: its chat template fails"):
        causal_with(tokenizer).tokens("Describe.", "This is")


@pytest.mark.parametrize("kind", [BloomConfig, MptConfig, MambaConfig])
def test_models_that_state_no_positions_write_what_they_write_alone(kind, tmp_path):
    """Together in a padded batch and one by one, with rows that end at different steps."""
    tokenizer = make_tokenizer(chat=True)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(kind(**sizes, num_hidden_layers=1, num_attention_heads=2))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = profiler(tmp_path).engine
    leads = ("This is", "It")
    asks = [Ask(Prompt("what", "Do.", "data" + "x" * i, lead), 0, 0.0) for i in range(2) for lead in leads]
    keys = [f"{i:064x}" for i in range(4)]
    together = engine.complete(asks, keys)
    assert together == [engine.complete([ask], [key])[0] for ask, key in zip(asks, keys, strict=True)]
    assert engine.causal.context >= 512
