"""Prompts as tokens where tokenizers and templates differ, and models that state no length or carry a state."""

import sys
from types import ModuleType

import pytest
import torch
from helper.transformers_profiler import CHAT, make_tokenizer, profiler
from safetensors.torch import save_file
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BloomConfig,
    GPT2Config,
    MambaConfig,
    MptConfig,
    RecurrentGemmaConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from pte.profiler.base import Query
from pte.profiler.engine.causal import Causal, _quiet_tensors
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
    prefix, lead = causal_with(tokenizer).tokens("Describe.", "This is")
    assert prefix[0] == begin
    assert end not in prefix + lead
    assert tokenizer.decode(prefix[1:] + lead) == "Describe.\n\nThis is"


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
    prefix, _ = causal_with(tokenizer).tokens("Describe <think>", "This is")
    assert tokenizer.decode(prefix).endswith("<|im_start|>assistant\n" * (ending != "assistant\n") + ending)


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('roles must alternate') }}", "{{ messages[1]['content'] + 'x' }}", "{% if %}"],
)
def test_a_template_that_fails_is_one_sentence(template):
    tokenizer = make_tokenizer(chat=True)
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=r"profiler\.model=own/model: its chat template fails"):
        causal_with(tokenizer).tokens("Describe.", "This is")


LAYER = {"num_hidden_layers": 1, "num_attention_heads": 2}
SHAPE = {
    RecurrentGemmaConfig: {
        "num_hidden_layers": 3, "num_attention_heads": 2, "lru_width": 32, "intermediate_size": 64, "head_dim": 16,
        "attention_window_size": 64,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", [BloomConfig, MptConfig, MambaConfig, RecurrentGemmaConfig])
def test_models_that_state_no_positions_write_what_they_write_alone(kind, tmp_path):
    """Together in a padded batch and one by one, with rows that end at different steps."""
    tokenizer = make_tokenizer(chat=True)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(kind(**sizes, **SHAPE.get(kind, LAYER)))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = profiler(tmp_path).engine
    leads = ("This is", "It")
    queries = [Query(Prompt("what", "Do.", "data" + "x" * i, lead), 0, 0.0) for i in range(2) for lead in leads]
    keys = [f"{i:064x}" for i in range(4)]
    together = engine.complete(queries, keys)
    assert together == [engine.complete([query], [key])[0] for query, key in zip(queries, keys, strict=True)]
    assert engine.causal.context >= 512


SMALL = {"vocab_size": 64, "d_model": 32}
DECODER = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)


@pytest.mark.parametrize(
    "model",
    [
        lambda: T5ForConditionalGeneration(T5Config(**SMALL, d_kv=16, num_layers=1, num_heads=2, d_ff=64)),
        lambda: BartForConditionalGeneration(
            BartConfig(
                **SMALL, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
                bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
            )
        ),
        lambda: AutoModelForCausalLM.from_config(
            BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
        ),
    ],
    ids=["T5", "BART", "BERT"],
)  # fmt: skip
def test_what_was_not_made_to_write_is_refused(model, tmp_path):
    model().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"profiler\.model=.*(no causal model loads|does not write)"):
        _ = Causal(model=str(tmp_path), sha256=None, revision=None, device="cpu", dtype="float32").model


def damage(folder, how):
    weights = folder / "model.safetensors"
    match how:
        case "no weights":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "no header":
            weights.write_bytes(b"\x00" * 64)
        case "weights of another model":
            save_file({"other": torch.zeros(1)}, weights, metadata={"format": "pt"})
        case "no config":
            (folder / "config.json").unlink()
        case "config of no kind":
            (folder / "config.json").write_text("{}")
        case "config that is no json":
            (folder / "config.json").write_text("{")
        case "config of another width":
            config = (folder / "config.json").read_text().replace('"n_embd": 32', '"n_embd": 16')
            (folder / "config.json").write_text(config)


@pytest.mark.parametrize(
    "how",
    ["no weights", "cut weights", "no header", "weights of another model", "no config", "config of no kind",
     "config that is no json", "config of another width"],
)  # fmt: skip
def test_a_broken_model_folder_is_one_sentence(how, tmp_path):
    AutoModelForCausalLM.from_config(DECODER).save_pretrained(tmp_path)
    causal = Causal(model=str(tmp_path), sha256=None, revision=None, device="cpu", dtype="float32")
    damage(tmp_path, how)
    with pytest.raises(InputError, match=rf"profiler\.model={tmp_path}: "):
        _ = causal.model


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_missing_or_broken_tokenizer_is_one_sentence(content, tmp_path):
    AutoModelForCausalLM.from_config(DECODER).save_pretrained(tmp_path)
    if content is not None:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"no tokenizer loads from it"):
        _ = Causal(model=str(tmp_path), sha256=None, revision=None, device="cpu", dtype="float32").tokenizer


@pytest.mark.parametrize("module", [None, ModuleType("other")])
def test_a_library_that_draws_no_bar_is_left_as_it_is(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "transformers.modeling_gguf_pytorch_utils", module)
    with _quiet_tensors():
        assert not hasattr(module, "tqdm")


def test_no_bar_is_drawn_of_the_tensors_of_a_gguf_file(capfd):
    """transformers draws one whatever its progress bars are told; afterwards it is as it was."""
    from transformers import modeling_gguf_pytorch_utils as library

    before = library.tqdm
    with _quiet_tensors():
        assert list(library.tqdm([1, 2], desc="Converting")) == [1, 2]
    assert "Converting" not in capfd.readouterr().err
    assert library.tqdm is before
