"""A causal language model and its tokenizer: where they come from, how a prompt becomes tokens, when an answer ends.

A GGUF file is unpacked once into a plain folder (25 s for 135M parameters; the folder then loads in two).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from pte.artifact import digest, file_sha256
from pte.asset import cached, derive, fetch
from pte.asset.local import HUB_NAME, URI
from pte.asset.progress import no_progress_bar
from pte.nn.device import named_device, named_dtype
from pte.paths import expanded
from pte.schema import InputError, first_line

logger = logging.getLogger(__name__)
COMMIT = re.compile(r"[0-9a-f]{40}$")
THINKING = re.compile(r"(?:<(?:think|thinking|thought|reasoning|analysis)>|\[THINK\])(?=\s*$)", re.IGNORECASE)
UNPACKED = "causal-v1"  # bump when `unpack` changes


class Causal:
    """A model by URI, local folder or GGUF file, or hub name (pinned by `revision`); loaded at first use."""

    def __init__(self, *, model: str, sha256: str | None, revision: str | None, device: str, dtype: str) -> None:
        if not (URI.match(model) or HUB_NAME.match(model) or expanded(model, "profiler.model").exists()):
            raise InputError(
                f"profiler.model={model}: neither a folder or GGUF file that exists, nor a hub name (owner/name), nor a"
                " URI"
            )
        self.model_name, self.sha256, self.revision = model, sha256, revision
        self.device = named_device(device, "profiler.device")
        self.dtype = named_dtype(dtype, self.device, "profiler.dtype")

    @property
    def at_hand(self) -> bool:
        """Whether the weights are on this machine, so that loading them fetches nothing."""
        name = self.model_name
        if URI.match(name):
            return cached(name, self.sha256)
        if expanded(name, "profiler.model").exists():
            return True
        return cached(f"hf:{name}@{self.revision}" if self.revision else f"hf:{name}")

    @cached_property
    def source(self) -> Path:
        """The fetched file or folder."""
        name = self.model_name
        if URI.match(name) or expanded(name, "profiler.model").exists():
            return fetch(name, sha256=self.sha256)
        return fetch(f"hf:{name}@{self.revision}" if self.revision else f"hf:{name}")

    @cached_property
    def folder(self) -> Path:
        """A plain transformers folder."""
        return (
            derive(self.source, UNPACKED, lambda out: unpack(self.source, out))
            if self.source.is_file()
            else self.source
        )

    @cached_property
    def model(self) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        loaded: Any  # two results, which the library's types do not say
        try:
            decoder = not AutoConfig.from_pretrained(self.folder).is_encoder_decoder
            with no_progress_bar():
                loaded = AutoModelForCausalLM.from_pretrained(
                    self.folder, dtype=self.dtype, trust_remote_code=False, output_loading_info=True
                )
        except Exception as error:  # of a broken folder the libraries raise many kinds
            raise InputError(
                f"profiler.model={self.model_name}: no causal model loads from it ({first_line(error)})"
            ) from error
        model, report = loaded
        if not (decoder and reads_left_to_right(model.to(self.device).eval())):
            raise InputError(
                f"profiler.model={self.model_name}: {type(model).__name__} was made to read with an encoder or in both"
                " directions, and does not write: choose a decoder, such as Qwen, Llama, Gemma or GPT-2"
            )
        if missing := sorted(map(str, report["missing_keys"])):
            raise InputError(
                f"profiler.model={self.model_name}: {len(missing)} of its weights are not in its files, such as"
                f" {missing[0]}: it is not a whole causal language model"
            )
        return model

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
        except Exception as error:  # of a broken folder the libraries raise many kinds
            raise InputError(
                f"profiler.model={self.model_name}: no tokenizer loads from it ({first_line(error)})"
            ) from error
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # where files are missing, GPT-2's is empty
            raise InputError(f"profiler.model={self.model_name}: no tokenizer loads from it (it has no vocabulary)")
        return tokenizer

    @cached_property
    def pad(self) -> int:
        """Any token: padding is masked."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((token for token in known if token is not None), 0)

    @cached_property
    def context(self) -> int:
        """Tokens a prompt and its answer may have together."""
        config = self.model.config.get_text_config().to_dict()
        known = (config.get(name) for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"))
        return int(min([limit for limit in known if limit] + [self.tokenizer.model_max_length]))  # Bloom, Mamba: none

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        added = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        marks = sorted({t for t in [*self.tokenizer.all_special_tokens, *added] if t.strip()}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, marks)) or "(?!)")

    @cached_property
    def _ends(self) -> set[int]:
        tokens = self.model.generation_config.eos_token_id
        tokens = tokens if isinstance(tokens, list) else [tokens]
        return {token for token in [*tokens, self.tokenizer.eos_token_id] if token is not None}

    @cached_property
    def _breaks_line(self) -> dict[int, bool]:
        return {}

    def ends(self, token: int, *, one_line: bool) -> bool:
        """Whether an answer is over with this token: an end token or, of one-line answers, a line break."""
        if token in self._ends:
            return True
        if token not in self._breaks_line:
            self._breaks_line[token] = "\n" in self.tokenizer.decode([token])
        return one_line and self._breaks_line[token]

    def tokens(self, prefix: str, lead: str) -> tuple[list[int], list[int]]:
        """Token ids of the prompt and of how its answer begins, neither empty.

        Whatever this very tokenizer takes for a mark is taken out of the text first: only the template sets marks.
        """
        prefix = self._marks.sub(" ", prefix)
        if self.tokenizer.chat_template:
            ids = self.tokenizer(self._turn(prefix), add_special_tokens=False).input_ids
        else:
            ids = self._opening(f"{prefix}\n\n")
        opening = self.tokenizer(lead, add_special_tokens=False).input_ids
        return (ids, opening) if opening else (ids[:-1], ids[-1:])

    def _turn(self, prefix: str) -> str:
        """One user's message in the model's template; a block of reasoning that it opens is closed, empty."""
        from jinja2 import TemplateError

        turn = [{"role": "user", "content": prefix}]
        quiet = {"enable_thinking": False, "thinking": False}  # Qwen3 and others; Granite, DeepSeek-V3.1
        try:
            text = self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False, **quiet)
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise InputError(
                f"profiler.model={self.model_name}: its chat template fails on one message of a user"
                f" ({first_line(error)}). Choose a chat model that takes one, or a copy of this one without"
                " chat_template"
            ) from error
        opened = THINKING.search(text, text.rfind(prefix.strip()) + len(prefix.strip()))
        return f"{text.rstrip()}\n\n{_closing(opened[0])}\n\n" if opened else text

    def _opening(self, text: str) -> list[int]:
        """Token ids of a text with the marks that begin one, and none that end one."""
        marked: list[int] = self.tokenizer(text).input_ids
        plain: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        starts = (i for i in range(len(marked) - len(plain) + 1) if marked[i : i + len(plain)] == plain)
        return marked[: next(starts, 0) + len(plain)]

    def text(self, tokens: list[int]) -> str:
        """Text of new tokens, without end marks."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))


def unpack(source: Path, out: Path) -> None:
    """A GGUF file as a plain folder: bfloat16 safetensors, tokenizer, left padding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    if source.suffix != ".gguf":
        raise InputError(f"{source} is neither a model folder nor a .gguf file")
    logger.info(f"profiler.model: {source.name} is unpacked, once for all runs: half a minute")
    whole = {"gguf_file": source.name, "dtype": torch.bfloat16, "quantization_config": GgufConfig(dequantize=True)}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        with no_progress_bar(), _quiet_tensors():
            model = AutoModelForCausalLM.from_pretrained(source.parent, **whole)
    except Exception as error:  # of a broken file the libraries raise many kinds
        raise InputError(
            f"profiler.model={source}: no model can be read from this GGUF file ({first_line(error)})"
        ) from error
    tokenizer.padding_side = "left"
    with no_progress_bar():
        model.save_pretrained(out)
    tokenizer.save_pretrained(out)


@contextmanager
def _quiet_tensors() -> Iterator[None]:
    """No bar of every GGUF tensor, which transformers draws whatever its settings."""
    library: Any = None
    with suppress(ImportError):
        library = import_module("transformers.modeling_gguf_pytorch_utils")
    if (bar := getattr(library, "tqdm", None)) is None:  # another version of it
        yield
        return
    library.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        library.tqdm = bar


@torch.inference_mode()
def reads_left_to_right(model: Any) -> bool:
    """Whether what a model says after its first token is the same whatever the second one is."""
    tokens = torch.tensor([[0, 1], [0, 2]], device=model.device)
    one, other = model(input_ids=tokens, use_cache=False).logits[:, 0].float()
    return torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def model_identity(causal: Causal) -> dict[str, Any]:
    """What names a model's weights: a checksum or a commit where one is given, else its files' contents."""
    named: dict[str, Any] = {"name": causal.model_name}
    if causal.sha256:
        return {**named, "sha256": causal.sha256}
    if causal.revision and COMMIT.match(causal.revision):
        return {**named, "revision": causal.revision}
    return {"content": _content(causal.source)}


def _content(source: Path) -> str:
    """A hash of a file, or of sizes and edges of a folder's files: whole weights take minutes to read."""
    if source.is_file():
        return file_sha256(source)
    edges_by_name = {}
    for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith(".")):
        with path.open("rb") as file:
            head = file.read(1 << 20)
            file.seek(max(path.stat().st_size - (1 << 20), 0))
            edges = digest([head.hex(), file.read().hex()])
        edges_by_name[path.relative_to(source).as_posix()] = [path.stat().st_size, edges]
    return digest(edges_by_name)


def _closing(mark: str) -> str:
    """</think> of <think>, [/THINK] of [THINK]."""
    return f"{mark[0]}/{mark[1:]}"
