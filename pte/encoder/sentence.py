"""Any sentence-transformers model as an encoder: text -> float32 unit vectors, with the model's own pooling.

Two rules of ours. A blank text says nothing, so its vector is zero: similar to nothing, and the only row that is not of
unit length. A text longer than `max_tokens` is cut at its end, and `card()` says how many were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from pte.asset import cached
from pte.schema import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

URI = re.compile(r"(pypi|https?|file|hf):")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+$")
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
        max_tokens: int = 128,
        batch_size: int = 64,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        if not model:
            raise InputError("encoder.model is missing: type encoder.model=owner/name, or a folder")
        if dtype not in DTYPES:
            raise InputError(f"encoder.dtype={dtype}: choose one of {', '.join(DTYPES)}")
        if max_tokens < 3 or batch_size < 1:
            raise InputError(
                f"encoder.max_tokens={max_tokens} must be >= 3 (two are marks), encoder.batch_size={batch_size} >= 1"
            )
        self.model, self.sha256, self.revision = model, sha256, revision
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self.device = torch.device(_best_device() if device == "auto" else device)
        self.dtype = _fast_dtype(self.device) if dtype == "auto" else getattr(torch, dtype)
        self._cut = 0

    def identity(self) -> dict[str, str]:
        """What vectors depend on beyond the knobs: the dtype that `auto` became on this hardware. Loads nothing."""
        return {"dtype": str(self.dtype).removeprefix("torch.")}

    @cached_property
    def width(self) -> int:
        """d, asked of the model itself."""
        return self._encode(["width"]).shape[1]

    def known_width(self, download: bool) -> int | None:
        """d as the model's configuration states it, loading no weights; None where it does not say.

        download: what is not on this machine may be fetched; otherwise it is unknown.
        """
        if URI.match(self.model) and not (download or cached(self.model, self.sha256)):
            return None
        return stated_width(Path(self._source()))

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32: unit rows, zeros where a text is blank. Equal texts are encoded once."""
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        vectors = np.zeros((len(distinct) + 1, self.width), np.float32)  # the last row: blank
        if distinct:
            vectors[:-1] = self._encode(distinct)
            lengths = self._model.tokenizer(distinct, add_special_tokens=True, truncation=False, verbose=False)
            self._cut += sum(len(ids) > self._limit for ids in lengths["input_ids"])
        row = {text: i for i, text in enumerate(distinct)}
        return vectors[[row.get(text, len(distinct)) for text in texts]]

    def card(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "revision": self.revision,
            "width": self.width,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "max_tokens": self._limit,
            "texts_cut": self._cut,
        }

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        source = self._source()
        try:
            with _no_progress_bar():  # of weights that load within a second
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
        limit = model.max_seq_length
        model.max_seq_length = min(limit, self.max_tokens) if limit else self.max_tokens
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
    def _limit(self) -> int:
        return int(self._model.max_seq_length or self.max_tokens)

    def _encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) unit rows. The library sorts by length within the call, so that batches hold little padding."""
        raw = self._model.encode(texts, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False)
        unit = F.normalize(raw.float(), dim=-1)
        if not unit.isfinite().all():
            raise InputError(f"encoder.model={self.model} gave vectors that are not finite: type encoder.dtype=float32")
        return unit.cpu().numpy()


def stated_width(folder: Path) -> int | None:
    """The width of the last module of modules.json that states one, or the transformer's hidden size."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        files = [folder / module["path"] / "config.json" for module in modules]
        stated = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    names = ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size")
    widths = [config[name] for config in reversed(stated) for name in names if isinstance(config.get(name), int)]
    return widths[0] if widths else None


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


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
