"""Continuing rows from shared prompts equals the plainest loop: one row at a time, no cache, no padding."""

import math
from copy import deepcopy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    Lfm2Config,
    LlamaConfig,
    Qwen3Config,
)

from pte.profiler.cache import prefix
from pte.profiler.cache.layer import ReservedLayer, joined_right, shares_prompts
from pte.profiler.engine import decode
from pte.profiler.engine.decode import (
    Continuation,
    Decoding,
    Rows,
    continue_rows,
    draw,
    penalised,
    portions,
    reads_prefixes,
    shared_length,
)
from pte.schema import InputError

VOCABULARY = 50


def decoding(**changes) -> Decoding:
    values = {"temperatures": [0.8], "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.2, "max_new_tokens": 9}
    return Decoding(**values | changes)


SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
NARROW = {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 128}
GROUPED = {**NARROW, "head_dim": 8}
CONFIGS = {
    "llama": LlamaConfig(**GROUPED),
    "qwen3": Qwen3Config(**GROUPED),
    "gemma3, sliding": Gemma3TextConfig(
        **GROUPED, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
    ),
    "gpt2, learned positions": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=128),
    "lfm2, convolutions": Lfm2Config(**NARROW, layer_types=["conv", "full_attention"], pad_token_id=0),
    "neox, half rotary": GPTNeoXConfig(**SIZES, intermediate_size=48, max_position_embeddings=128),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[request.param]).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "embed" not in name:
            parameter.data.mul_(3)  # peaked enough that tokens differ from row to row
    return model


def rows(generator, *, temperature=0.8, steps=9) -> Rows:
    """Five prefixes with a common beginning, 11 rows of them, leads of different lengths."""
    prefixes = [[3, 4, 5, *torch.randint(6, VOCABULARY, (n,), generator=generator).tolist()] for n in (2, 9, 4, 4, 7)]
    row_prefix = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 4])
    leads = [torch.randint(6, VOCABULARY, (1 + i % 3,), generator=generator).tolist() for i in range(len(row_prefix))]
    uniform = torch.rand(len(row_prefix), steps, generator=generator)
    return Rows(prefixes, row_prefix, leads, torch.full((len(row_prefix),), temperature), uniform)


@torch.inference_mode()
def one_by_one(model, batch: Rows, decoding: Decoding, stops) -> list[list[int]]:
    """The reference: every row alone, the whole text anew for every token."""
    texts = []
    for r, lead in enumerate(batch.leads):
        text, new = [*batch.prefixes[batch.row_prefix[r]], *lead], []
        for step in range(batch.uniform.shape[1]):
            logits = model(input_ids=torch.tensor([text + new])).logits[:, -1]
            logits = penalised(logits, torch.tensor([new], dtype=torch.long), decoding.repetition_penalty)
            one = {"temperature": batch.temperature[r : r + 1], "uniform": batch.uniform[r : r + 1, step]}
            new.append(int(draw(logits, decoding, **one)))
            if stops(r, new[-1]):
                break
        texts.append(new)
    return texts


def test_batch_equals_one_by_one(model):
    batch = rows(torch.Generator().manual_seed(1))
    stops = lambda row, token: token % 7 == 0  # noqa: E731 - rows end at different steps, so rows are dropped
    found = continue_rows(model, batch, stops=stops, pad=0, decoding=decoding())
    assert found == one_by_one(model, batch, decoding(), stops)
    assert len({len(text) for text in found}) > 2, "rows of several lengths, or dropping rows is not tried"


def test_prompts_that_are_read_some_at_a_time_change_nothing(model, monkeypatch):
    monkeypatch.setattr(decode, "PREFILL", 10)
    batch = rows(torch.Generator().manual_seed(1))
    stops = lambda row, token: token % 7 == 0  # noqa: E731
    found = continue_rows(model, batch, stops=stops, pad=0, decoding=decoding())
    assert found == one_by_one(model, batch, decoding(), stops)


def test_greedy_texts_equal_those_of_generate(model):
    """With the library's own loop, token for token in float32: nothing shared, nothing padded."""
    batch = rows(torch.Generator().manual_seed(4), temperature=0.0)
    settings = decoding(repetition_penalty=1.0)
    found = continue_rows(model, batch, stops=lambda row, token: False, pad=0, decoding=settings)
    for r, lead in enumerate(batch.leads):
        prompt = torch.tensor([[*batch.prefixes[batch.row_prefix[r]], *lead]])
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=9,
                             min_new_tokens=9, pad_token_id=0, eos_token_id=None)  # fmt: skip
        assert found[r] == out[0, prompt.shape[1] :].tolist()


@pytest.mark.parametrize(
    ("name", "shares"), [("llama", True), ("gpt2, learned positions", True), ("gemma3, sliding", False)]
)
def test_prompts_are_shared_where_padding_may_stand_in_the_middle(name, shares):
    assert shares_prompts(AutoModelForCausalLM.from_config(CONFIGS[name])) is shares


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "qwen3", "neox, half rotary", "gpt2, learned positions"])
def test_prefixes_stay_once_where_attention_can_be_exchanged(name, kind):
    """Eleven rows of five prefixes; where rows end, prefixes that nobody continues leave too."""
    model = AutoModelForCausalLM.from_config(deepcopy(CONFIGS[name]), attn_implementation=kind).eval()
    once = kind == "sdpa"
    assert reads_prefixes(model) is once
    with torch.inference_mode():
        flight = Continuation(model, rows(torch.Generator().manual_seed(1)), pad=0, extra=2)
        assert (flight.prefixes is not None) is once
        if flight.prefixes:
            assert {len(keys) for keys, _ in flight.prefixes.layers} == {5}
            flight.keep(torch.tensor([2, 3, 5]))
            assert {len(keys) for keys, _ in flight.prefixes.layers} == {2}


@pytest.mark.parametrize("wrong", ["says otherwise", "knows no prefixes"])
def test_a_model_that_says_otherwise_with_prefixes_gets_none(wrong, monkeypatch):
    model = AutoModelForCausalLM.from_config(deepcopy(CONFIGS["llama"]), attn_implementation="sdpa").eval()
    if wrong == "says otherwise":
        monkeypatch.setattr(prefix, "prefix_attention", lambda query, *rest: 5 * query)
    else:
        forward = type(model).forward
        known = lambda self, *a, prefixes=None, **k: forward(self, *a, **k)  # noqa: E731 - they do not reach attention
        monkeypatch.setattr(type(model), "forward", known)
        monkeypatch.setattr(decode, "caches", lambda model: True)
    assert not reads_prefixes(model)
    assert model.config._attn_implementation == "sdpa"


def test_a_row_does_not_depend_on_its_company(model):
    batch = rows(torch.Generator().manual_seed(2))
    stops = lambda row, token: False  # noqa: E731
    together = continue_rows(model, batch, stops=stops, pad=0, decoding=decoding())
    for r in (0, 4, 10):
        alone = Rows(
            [batch.prefixes[batch.row_prefix[r]]],
            torch.tensor([0]),
            [batch.leads[r]],
            batch.temperature[r : r + 1],
            batch.uniform[r : r + 1],
        )
        assert continue_rows(model, alone, stops=stops, pad=0, decoding=decoding())[0] == together[r]


def test_padding_token_does_not_matter(model):
    batch = rows(torch.Generator().manual_seed(3))
    stops = lambda row, token: False  # noqa: E731
    first, second = (continue_rows(model, batch, stops=stops, pad=pad, decoding=decoding()) for pad in (0, 17))
    assert first == second


def test_draw_by_hand():
    """p = (.5, .3, .2): u < .5 takes the first, u < .8 the second; top_p = .6 leaves (.625, .375)."""
    logits = torch.tensor([[0.5, 0.2, 0.3]]).log().expand(4, 3)
    u = torch.tensor([0.0, 0.49, 0.79, 0.99])
    one = torch.ones(4)
    assert draw(logits, decoding(top_p=1.0), temperature=one, uniform=u).tolist() == [0, 0, 2, 1]
    assert draw(logits, decoding(top_p=0.6), temperature=one, uniform=u).tolist() == [0, 0, 2, 2]
    assert draw(logits, decoding(top_k=1), temperature=one, uniform=u).tolist() == [0, 0, 0, 0]
    assert draw(logits, decoding(top_p=1.0), temperature=0 * one, uniform=u).tolist() == [0, 0, 0, 0]


def test_draw_has_the_distribution_of_its_temperature():
    """At T = 2 the odds of 4 : 1 become 2 : 1; over an even grid of u the share is exact to the grid's step."""
    logits = torch.tensor([[math.log(4.0), 0.0]]).expand(3000, 2)
    u = (torch.arange(3000) + 0.5) / 3000
    token = draw(logits, decoding(top_p=1.0), temperature=torch.full((3000,), 2.0), uniform=u)
    assert (token == 0).float().mean().item() == pytest.approx(2 / 3, abs=1 / 3000)


def test_repeated_tokens_lose():
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    assert penalised(logits, torch.tensor([[0, 1]]), 2.0).tolist() == [[1.0, -4.0, 1.0]]
    assert penalised(logits, torch.tensor([[0, 0]]), 2.0).tolist() == [[1.0, -2.0, 1.0]], "once, however often said"


def test_reserved_layer_appends_like_a_plain_one():
    generator = torch.Generator().manual_seed(0)
    keys, values, new = (torch.randn(3, 2, n, 4, generator=generator) for n in (5, 5, 1))
    plain = DynamicCache()
    plain.update(keys, values, 0)
    reserved = ReservedLayer(keys, values, extra=2)
    for _ in range(2):
        expected, found = plain.update(new, 2 * new, 0), reserved.update(new, 2 * new)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    pick = torch.tensor([2, 0])
    plain.batch_select_indices(pick)
    reserved.batch_select_indices(pick)
    assert torch.equal(reserved.keys, plain.layers[0].keys)
    assert reserved.get_seq_length() == 7


def test_shared_length_leaves_every_row_a_token():
    assert shared_length([[1, 2, 3], [1, 2, 4, 5]]) == 2
    assert shared_length([[1, 2], [1, 2, 4]]) == 1
    assert shared_length([[7]]) == 0
    assert shared_length([[1, 2], [3, 2]]) == 0


def test_portions_by_hand():
    """Twelve tokens at a time: two rows of five, then one of five, one of nine, one of thirteen."""
    lengths = [[len(row) for row in some] for some in portions([[0] * n for n in (5, 5, 5, 9, 13)], 12)]
    assert lengths == [[5, 5], [5], [9], [13]]
    assert list(portions([], 12)) == []


def test_parts_are_joined_at_their_right():
    one, two = torch.ones(1, 1, 1, 2), torch.full((2, 1, 3, 2), 2.0)
    assert joined_right([one, two])[:, 0, :, 0].tolist() == [[0, 0, 1], [2, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize("wrong", [{"top_p": 0.0}, {"top_k": 0}, {"temperatures": []}, {"temperatures": [-0.1]}])
def test_decoding_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match=r"profiler\.decoding"):
        decoding(**wrong)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_stop(value):
    logits = torch.zeros(2, VOCABULARY)
    logits[1, 30] = value
    with pytest.raises(InputError, match="not finite"):
        draw(logits, decoding(), temperature=torch.ones(2), uniform=torch.full((2,), 0.5))
