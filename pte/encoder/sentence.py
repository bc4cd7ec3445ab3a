"""Any sentence-transformers model as an encoder: text -> float32 unit vectors, with the model's own pooling.

Two rules of ours. A blank text says nothing, so its vector is zero: similar to nothing, and the only row that is not of
unit length. A text longer than `max_tokens`, the prompt before it, is cut at its end, and `card()` says how many were.
Prompts are those of asymmetric models (E5's "passage: ", Qwen3-Embedding's instruction): the text itself, or the
name of one that the model defines.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from pte.asset import cached
from pte.asset.progress import no_progress_bar
from pte.schema import InputError, Resolved, Runtime

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

URI = re.compile(r"(pypi|https?|file|hf):")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+$")
POSITIONS = re.compile(r"(?:^|\.)(?:position_embeddings?|embed_positions|wpe)$")
DTYPES = ("auto", "float32", "bfloat16", "float16")


class SentenceEncoder:
    """A model by URI (a folder, verified by `sha256`), by local folder, or by hub name (pinned by `revision`)."""

    reads_ids = False

    def __init__(
        self,
        *,
        model: str | None,
        sha256: str | None = None,
        revision: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        max_tokens: int = 128,
        batch_size: Runtime[int] = 64,
        dtype: Resolved[str] = "float32",
        device: Runtime[str] = "auto",
    ) -> None:
        if not model:
            raise InputError("encoder.model is missing: type encoder.model=owner/name, or a folder")
        if dtype not in DTYPES:
            raise InputError(f"encoder.dtype={dtype}: choose one of {', '.join(DTYPES)}")
        if max_tokens < 3 or batch_size < 1:
            raise InputError(
                f"encoder.max_tokens={max_tokens} must be >= 3 (two are marks), encoder.batch_size={batch_size} >= 1"
            )
        if prompt is not None and prompt_name is not None:
            raise InputError(
                "encoder.prompt and encoder.prompt_name are both given: keep one (a prompt_name is the model's own)"
            )
        self.model, self.sha256, self.revision = model, sha256, revision
        self.own_prompt, self.prompt_name = prompt, prompt_name
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self.device = torch.device(_best_device() if device == "auto" else device)
        self.dtype = _fast_dtype(self.device) if dtype == "auto" else getattr(torch, dtype)
        self._cut = 0

    def identity(self) -> dict[str, str]:
        """What vectors depend on beyond the knobs: the dtype that `auto` became on this hardware. Loads nothing."""
        return {"dtype": str(self.dtype).removeprefix("torch.")}

    @cached_property
    def width(self) -> int:
        """d, from the model itself."""
        return self._encode(["width"]).shape[1]

    def known_width(self, download: bool) -> int | None:
        """d as the model's configuration states it, loading no weights; None where it does not say.

        download: what is not on this machine may be fetched; otherwise it is unknown.
        """
        if URI.match(self.model) and not (download or cached(self.model, self.sha256)):
            return None
        return width_in_config(Path(self._source()))

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32: unit rows, zeros where a text is blank. Equal texts are encoded once."""
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        vectors = np.zeros((len(distinct) + 1, self.width), np.float32)  # the last row: blank
        if distinct:
            vectors[:-1] = self._encode(distinct)
            self._cut += self._too_long(distinct)
        row = {text: i for i, text in enumerate(distinct)}
        return vectors[[row.get(text, len(distinct)) for text in texts]]

    def card(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "revision": self.revision,
            "width": self.width,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "prompt": self._prompt,
            "max_tokens": self._limit,  # null: the model has none
            "texts_cut": self._cut,
        }

    def _too_long(self, texts: list[str]) -> int:
        """How many texts, the prompt before them, have more tokens than are read."""
        if self._limit is None:
            return 0
        whole = [self._prompt + text for text in texts]
        lengths = self._model.tokenizer(whole, add_special_tokens=True, truncation=False, verbose=False)
        return sum(len(ids) > self._limit for ids in lengths["input_ids"])

    @cached_property
    def _prompt(self) -> str:
        """What stands before every text: encoder.prompt, else the model's own of that name, else its default one."""
        if self.own_prompt is not None:
            return self.own_prompt
        own, name = self._model.prompts, self.prompt_name or self._model.default_prompt_name
        if name is None:
            return ""
        if name not in own:
            raise InputError(
                f"encoder.prompt_name={name}: the model has {', '.join(own) or 'none'}; give the text itself, for"
                " instance encoder.prompt='passage: '"
            )
        return str(own[name] or "")

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        source = self._source()
        try:
            with no_progress_bar():  # of weights that load within a second
                model = SentenceTransformer(
                    source,
                    device=str(self.device),
                    revision=self.revision,
                    trust_remote_code=False,
                    local_files_only=Path(source).is_dir(),
                    model_kwargs={"dtype": self.dtype},
                )
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"encoder.model={self.model}: no sentence encoder could be loaded from it ({reason}). Give a folder"
                " that SentenceTransformer.save wrote, or a hub name such as sentence-transformers/all-MiniLM-L6-v2"
            ) from error
        with suppress(AttributeError):  # StaticEmbedding has no limit and takes none
            model.max_seq_length = min([self.max_tokens, *_limits(model)])
        return model.eval()

    def _source(self) -> str:
        """A local folder, or the hub name for the library to resolve."""
        if URI.match(self.model):
            from pte.asset import fetch

            return str(fetch(self.model, sha256=self.sha256))
        if Path(self.model).expanduser().is_dir():
            return str(Path(self.model).expanduser())
        if HUB_NAME.match(self.model):
            return self.model
        raise InputError(
            f"encoder.model={self.model}: neither a folder that exists, nor a hub name (owner/name), nor a URI"
        )

    @property
    def _limit(self) -> int | None:
        limit = self._model.max_seq_length
        return None if limit is None or math.isinf(limit) else int(limit)

    def _encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) unit rows. The library sorts by length within the call, so that batches hold little padding."""
        raw = self._model.encode(
            texts, prompt=self._prompt, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        unit = F.normalize(raw.float(), dim=-1)
        if not unit.isfinite().all():
            raise InputError(f"encoder.model={self.model} gave vectors that are not finite: type encoder.dtype=float32")
        return unit.cpu().numpy()


def width_in_config(folder: Path) -> int | None:
    """The width of the last module of modules.json that states one, or the transformer's hidden size."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        files = [folder / module["path"] / "config.json" for module in modules]
        configs = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    names = ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size")
    widths = [config[name] for config in reversed(configs) for name in names if isinstance(config.get(name), int)]
    return widths[0] if widths else None


def _limits(model: SentenceTransformer) -> list[int]:
    """Token limits of a model: the one it states, and as many as its table of positions has rows for.

    RoBERTa and its kin count positions from behind the padding token's.
    """
    tables = [
        module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and POSITIONS.search(name)
    ]
    limit = model.max_seq_length
    return [*tables, *([int(limit)] if limit and not math.isinf(limit) else [])]


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively (there 2 to 4 times faster), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32
