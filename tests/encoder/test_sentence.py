"""A tiny random encoder checks the rules; the real one, where it is at hand, checks what the vectors mean."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from pte.encoder.sentence import SentenceEncoder, _limits
from pte.paths import CONF_DIR
from pte.schema import InputError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "about", "space", "toys", "and", "crime", "width"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A sentence-transformers folder with a random one-layer BERT, as `save` writes it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    base = tmp_path_factory.mktemp("bert")
    (base / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab_file=str(base / "vocab.txt"), vocab={w: i for i, w in enumerate(WORDS)}).save_pretrained(
        base
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(base)
    body = Transformer(str(base), max_seq_length=32)
    out = tmp_path_factory.mktemp("encoder")
    SentenceTransformer(modules=[body, Pooling(16)], device="cpu").save(str(out))
    return out


@pytest.fixture
def encoder(folder):
    return SentenceEncoder(model=str(folder), max_tokens=16, device="cpu")


def test_unit_rows_in_the_order_given(encoder):
    texts = ["a film about space and toys and crime", "crime", "a film"]
    got = encoder.encode(texts)
    assert got.shape == (3, encoder.width) == (3, 16)
    assert got.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    for text, row in zip(texts, got, strict=True):  # alone or padded in a batch: float32 sums in another order
        np.testing.assert_allclose(encoder.encode([text])[0], row, atol=1e-5)
    assert np.abs(got[0] - got[1]).max() > 1e-3


def test_a_blank_text_is_zero_and_repeats_are_equal(encoder):
    got = encoder.encode(["", "a film", "  ", "a film"])
    assert not got[[0, 2]].any()
    assert np.array_equal(got[1], got[3])
    assert encoder.encode([]).shape == (0, 16)
    assert not encoder.encode([""]).any()


def test_long_texts_are_cut_and_counted(folder):
    encoder = SentenceEncoder(model=str(folder), max_tokens=6, device="cpu")
    texts = ["a film about space", "a film about space and crime", "a film about space toys"]
    got = encoder.encode(texts)
    np.testing.assert_allclose(got[1], got[0], atol=1e-5)  # [CLS] + 4 words + [SEP]
    assert encoder.too_long(texts).tolist() == [False, True, True]
    assert encoder.too_long([]).tolist() == []
    assert encoder.card()["max_tokens"] == 6


def test_bfloat16_stays_close(folder, encoder):
    texts = ["a film about space", "crime"]
    half = SentenceEncoder(model=str(folder), max_tokens=16, device="cpu", dtype="bfloat16").encode(texts)
    assert half.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)
    # bfloat16 keeps 8 bits: relative errors of 2^-8 per step leave the cosine within about 1e-3
    assert ((half * encoder.encode(texts)).sum(1) > 0.998).all()


@pytest.mark.parametrize(
    ("knobs", "word"),
    [
        ({"model": None}, "encoder.model is missing"),
        ({"model": "nowhere"}, "neither a folder"),
        ({"model": "x/y", "dtype": "int8"}, "encoder.dtype=int8"),
        ({"model": "x/y", "max_tokens": 2}, "max_tokens=2"),
    ],
)
def test_mistakes_say_what_to_type(knobs, word):
    with pytest.raises(InputError, match=word):
        SentenceEncoder(**knobs).encode(["a"])


def test_a_folder_without_a_model_is_explained(tmp_path):
    with pytest.raises(InputError, match="no sentence encoder could be loaded"):
        SentenceEncoder(model=str(tmp_path), device="cpu").encode(["a"])


@pytest.mark.assets
def test_the_default_encoder_knows_toys_from_crime():
    knobs = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "encoder" / "minilm.yaml"))
    knobs.pop("_target_")
    encoder = SentenceEncoder(**{**knobs, "device": "cpu", "dtype": "float32"})
    toy, puzzle, crime = encoder.encode(["A toy train for children", "Wooden railway set, ages 3+", "A murder trial"])
    assert toy @ puzzle > 0.4 > 0.2 > toy @ crime
    fast = SentenceEncoder(**{**knobs, "device": "cpu", "dtype": "bfloat16"})
    assert fast.encode(["A toy train for children"])[0] @ toy > 0.999


def test_auto_names_the_dtype_that_is_used():
    encoder = SentenceEncoder(model="x/y", device="cpu", dtype="auto")
    assert encoder.identity() == {"dtype": str(encoder.dtype).removeprefix("torch.")}
    assert SentenceEncoder(model="x/y", device="cpu", dtype="float16").identity() == {"dtype": "float16"}


def test_a_prompt_stands_before_every_text_and_counts_as_read(folder, encoder):
    prompted = SentenceEncoder(model=str(folder), max_tokens=6, device="cpu", prompt="a film about ")
    np.testing.assert_allclose(
        prompted.encode(["toys", "crime", ""]),
        encoder.encode(["a film about toys", "a film about crime", ""]),
        atol=1e-5,
    )
    cut = prompted.too_long(["toys", "toys and"]).tolist()
    assert cut == [False, True], "three words, one and two marks: six"
    assert prompted.card()["prompt"] == "a film about "


@pytest.fixture(scope="module")
def prompting(folder, tmp_path_factory):
    """The same model with prompts of its own, one of them its default."""
    from sentence_transformers import SentenceTransformer

    out = tmp_path_factory.mktemp("prompting")
    model = SentenceTransformer(str(folder), device="cpu")
    model.prompts, model.default_prompt_name = {"query": "a film about ", "passage": "space "}, "passage"
    model.save(str(out))
    return str(out)


def test_a_models_own_prompts_are_taken_by_name_or_default(prompting, encoder):
    values = {"model": prompting, "max_tokens": 16, "device": "cpu"}
    for prompt, before in (({"prompt_name": "query"}, "a film about "), ({}, "space "), ({"prompt": ""}, "")):
        got = SentenceEncoder(**values, **prompt)
        np.testing.assert_allclose(got.encode(["toys"]), encoder.encode([before + "toys"]), atol=1e-5)
        assert got.card()["prompt"] == before
    default = SentenceEncoder(**values | {"max_tokens": 4})
    assert default.too_long(["toys and"]).all(), "the default prompt's word counts"


def test_prompts_that_cannot_be_are_refused(prompting):
    with pytest.raises(InputError, match=r"encoder\.prompt_name=title: the model has .*query"):
        SentenceEncoder(model=prompting, device="cpu", prompt_name="title").encode(["toys"])
    with pytest.raises(InputError, match=r"prompt_name=title: the model has query, document, passage"):
        SentenceEncoder(model=prompting, device="cpu", prompt_name="title").known_width(False)
    assert SentenceEncoder(model=prompting, device="cpu", prompt_name="document").known_width(False)
    with pytest.raises(InputError, match=r"encoder\.prompt and encoder\.prompt_name"):
        SentenceEncoder(model=prompting, prompt_name="query", prompt="a")


def test_a_table_of_token_vectors_has_no_limit(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(tmp_path))
    static = SentenceEncoder(model=str(tmp_path), max_tokens=3, device="cpu")
    assert static.encode(["a film about space and toys", ""]).shape == (2, 8)
    assert static.card()["max_tokens"] is None
    assert not static.too_long(["a film about space and toys"]).any()


def test_positions_bound_the_tokens_that_are_read(folder, tmp_path):
    """A folder that states more tokens than its model has positions for: 32, and 30 where two are padding's."""
    import shutil

    stated = tmp_path / "stated"
    shutil.copytree(folder, stated)
    for file in stated.rglob("sentence_bert_config.json"):
        file.unlink()
    config = stated / "tokenizer_config.json"
    found = json.loads(config.read_text()) | {"model_max_length": 512}
    config.write_text(json.dumps(found))
    long = SentenceEncoder(model=str(stated), max_tokens=256, device="cpu")
    assert np.isfinite(long.encode(["film " * 100])).all()
    assert long.card()["max_tokens"] == 32
    assert long.too_long(["film " * 100]).all()
    roberta = torch.nn.Sequential()
    roberta.add_module("position_embeddings", torch.nn.Embedding(32, 4, padding_idx=1))
    roberta.max_seq_length = None
    assert _limits(roberta) == [30]


def damaged(folder, how, tmp_path):
    """A copy of the folder with something of it gone, cut or of another shape."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if "word_embeddings" in name)
    match how:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:500])
        case "pooling":
            (copy / "1_Pooling" / "config.json").unlink()
        case "tensor":
            save_file({key: value for key, value in tensors.items() if key != name}, weights, {"format": "pt"})
        case "shape":
            save_file({**tensors, name: torch.zeros(3, 16)}, weights, {"format": "pt"})
        case "nan":
            save_file({**tensors, name: tensors[name] * float("nan")}, weights, {"format": "pt"})
        case "pooler":
            save_file({key: value for key, value in tensors.items() if "pooler" not in key}, weights, {"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("how", "words"),
    [("cut", "could be loaded"), ("pooling", "could be loaded"), ("shape", "could be loaded"),
     ("tensor", r"1 of its weights are not in its files, such as .*word_embeddings"), ("nan", "weights are damaged")],
)  # fmt: skip
def test_a_broken_folder_is_one_sentence(folder, tmp_path, how, words):
    model = damaged(folder, how, tmp_path)
    with pytest.raises(InputError, match=words) as error:
        SentenceEncoder(model=str(model), device="cpu").encode(["a film"])
    assert "\n" not in str(error.value)


def test_missing_weights_are_seen_where_the_library_logs_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers.modeling_utils"), "disabled", True)
    with pytest.raises(InputError, match="1 of its weights are not in its files"):
        SentenceEncoder(model=str(damaged(folder, "tensor", tmp_path)), device="cpu").encode(["a film"])


def test_a_pooler_that_is_not_used_may_be_missing(folder, encoder, tmp_path):
    model = SentenceEncoder(model=str(damaged(folder, "pooler", tmp_path)), max_tokens=16, device="cpu")
    np.testing.assert_allclose(model.encode(["a film"]), encoder.encode(["a film"]), atol=1e-6)


def test_loading_says_nothing_of_layers_that_nobody_split(folder, monkeypatch):
    words = []
    library = logging.getLogger("transformers.distributed.tensor_parallel")
    monkeypatch.setattr(library, "warning", words.append)
    SentenceEncoder(model=str(folder), max_tokens=16, device="cpu").encode(["a film"])
    assert not words


def test_half_a_character_is_read_as_a_question_mark(encoder):
    assert np.array_equal(*encoder.encode(["a film \ud83d", "a film ?"]))


def test_a_decoder_without_padding_and_a_model_with_limited_biases_read_long_texts(folder, tmp_path):
    from transformers import AutoTokenizer, MptConfig, MptModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    tokenizer.save_pretrained(tmp_path)
    MptModel(MptConfig(vocab_size=len(WORDS), d_model=16, n_layers=1, n_heads=2, max_seq_len=12)).save_pretrained(
        tmp_path
    )
    model = SentenceEncoder(model=str(tmp_path), device="cpu")
    assert model.encode(["a film " * 30, "crime"]).shape == (2, 16)
    assert model.card()["max_tokens"] == 12
    assert model.too_long(["a film " * 30, "crime"]).tolist() == [True, False]


def test_what_a_model_cannot_read_is_one_sentence(encoder, monkeypatch):
    def fail(*arguments, **keywords):
        raise RuntimeError("out of memory\nby far")

    assert encoder.width == 16  # the model is loaded
    monkeypatch.setattr(encoder._model, "encode", fail)
    with pytest.raises(InputError, match=r"\(out of memory\): type a smaller encoder.max_tokens"):
        encoder.encode(["a film"])


def test_every_batch_may_have_another_number_of_threads(folder, monkeypatch):
    """As many as are free when its turn comes; afterwards as it was."""
    encoder = SentenceEncoder(model=str(folder), device="cpu", batch_size=1)
    encoder.encode(["space"])  # loads it
    numbers = iter((2, 1, 2))
    seen, before = [], torch.get_num_threads()

    def fit():
        torch.set_num_threads(next(numbers))

    monkeypatch.setattr(encoder.threads, "fit", fit)
    monkeypatch.setattr(type(encoder._model[0]), "forward", watched(type(encoder._model[0]).forward, seen))
    encoder.encode(["a film", "crime"])
    assert seen == [1, 2], "the first number is for what stands before the batches"
    assert torch.get_num_threads() == before


def watched(forward, seen):
    """The same, noting down how many threads it is played with."""

    def noted(*arguments, **keywords):
        seen.append(torch.get_num_threads())
        return forward(*arguments, **keywords)

    return noted
