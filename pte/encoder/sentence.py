"""Any sentence-transformers model as an encoder: text -> float32 unit vectors, with the model's own pooling.

Two rules of ours. A blank text says nothing, so its vector is zero: similar to nothing, and the only row that is not of
unit length. A text longer than `max_tokens`, the prompt before it, is cut at its end; `too_long` says which are.
Prompts are those of asymmetric models (E5's "passage: ", Qwen3-Embedding's instruction): the text itself, or the
name of one that the model defines.

On a CPU batches are encoded by as many threads as there are cores to spare (nn/threads.py). Another number may round a
last bit differently, as another processor may: vectors are kept by text (blocks.py), so that a text has one in a store.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from pte.asset import cached, fetch
from pte.asset.local import HUB_NAME, URI
from pte.asset.progress import no_progress_bar
from pte.nn.device import named_device, named_dtype
from pte.nn.threads import Threads
from pte.paths import expanded
from pte.schema import InputError, Resolved, Runtime, first_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POSITIONS = re.compile(r"(?:^|\.)(?:position_embeddings?|embed_positions|wpe)$")
MOST_TOKENS = 2**20  # more than any encoder reads
PROMPTS = {"query": "", "document": ""}  # of every model of sentence-transformers, whatever others it states


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
        if not 3 <= max_tokens <= MOST_TOKENS or batch_size < 1:
            raise InputError(
                f"encoder.max_tokens={max_tokens} must be >= 3 (two are marks) and at most {MOST_TOKENS},"
                f" encoder.batch_size={batch_size} >= 1"
            )
        if prompt is not None and prompt_name is not None:
            raise InputError(
                "encoder.prompt and encoder.prompt_name are both given: keep one (a prompt_name is the model's own)"
            )
        self.model, self.sha256, self.revision = model, sha256, revision
        self.own_prompt, self.prompt_name = prompt, prompt_name
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self.device = named_device(device, "encoder.device")
        self.dtype = named_dtype(dtype, self.device, "encoder.dtype")
        self.threads = Threads()

    def identity(self) -> dict[str, str]:
        """What vectors depend on beyond the knobs: the dtype that `auto` became on this hardware. Loads nothing."""
        return {"dtype": str(self.dtype).removeprefix("torch.")}

    @cached_property
    def width(self) -> int:
        """d, from the model itself."""
        return int(self._encode(["width"]).shape[1])

    def known_width(self, download: bool) -> int | None:
        """d as the model's configuration states it, loading no weights; None where it does not say.

        download: what is not on this machine may be fetched; otherwise it is unknown.
        """
        if URI.match(self.model) and not (download or cached(self.model, self.sha256)):
            return None
        folder = Path(self._source())
        if folder.is_dir() and not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise InputError(
                f"encoder.model={self.model}: no sentence encoder lies there, neither modules.json nor config.json:"
                " give a folder that SentenceTransformer.save wrote, or a hub name"
            )
        if folder.is_dir() and self.prompt_name is not None:
            stated = folder / "config_sentence_transformers.json"
            own = json.loads(stated.read_text(encoding="utf-8")).get("prompts") if stated.is_file() else None
            self._check_prompt_name(self.prompt_name, {**PROMPTS, **(own or {})})
        return width_in_config(folder)

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32: unit rows, zeros where a text is blank. Equal texts are encoded once."""
        texts = [text.encode(errors="replace").decode() for text in texts]  # half a character has no tokens
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        vectors = np.zeros((len(distinct) + 1, self.width), np.float32)  # the last row: blank
        if distinct:
            vectors[:-1] = self._encode(distinct)
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
        }

    def too_long(self, texts: list[str]) -> np.ndarray:
        """(n,) bool: which texts, the prompt before them, have more tokens than are read."""
        if self._limit is None or not texts:
            return np.zeros(len(texts), bool)
        whole = [self._prompt + text.encode(errors="replace").decode() for text in texts]
        lengths = self._model.tokenizer(whole, add_special_tokens=True, truncation=False, verbose=False)
        return np.array([len(ids) > self._limit for ids in lengths["input_ids"]])

    @cached_property
    def _prompt(self) -> str:
        """What stands before every text: encoder.prompt, else the model's own of that name, else its default one."""
        if self.own_prompt is not None:
            return self.own_prompt
        own, name = self._model.prompts, self.prompt_name or self._model.default_prompt_name
        if name is None:
            return ""
        self._check_prompt_name(name, own)
        return str(own[name] or "")

    def _check_prompt_name(self, name: str, own: Mapping[str, Any]) -> None:
        if name not in own:
            raise InputError(
                f"encoder.prompt_name={name}: the model has {', '.join(own) or 'none'}; give the text itself, for"
                " instance encoder.prompt='passage: '"
            )

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        source = self._source()
        try:
            with no_progress_bar(), _load_report() as report:  # of weights that load within a second
                model = SentenceTransformer(
                    source,
                    device=str(self.device),
                    revision=self.revision,
                    trust_remote_code=False,
                    local_files_only=Path(source).is_dir(),
                    model_kwargs={"dtype": self.dtype},
                )
        except Exception as error:  # of a broken folder the libraries raise many kinds
            raise InputError(
                f"encoder.model={self.model}: no sentence encoder could be loaded from it ({first_line(error)}). Give a"
                " folder that SentenceTransformer.save wrote, or a hub name such as"
                " sentence-transformers/all-MiniLM-L6-v2"
            ) from error
        if report:
            raise InputError(
                f"encoder.model={self.model}: {len(report)} of its weights are not in its files, such as {report[0]}:"
                " it is not a whole sentence encoder"
            )
        with suppress(AttributeError):  # StaticEmbedding's tokenizer pads nothing
            model.tokenizer.pad_token = model.tokenizer.pad_token or model.tokenizer.eos_token
        with suppress(AttributeError):  # StaticEmbedding has no limit and takes none
            model.max_seq_length = min([self.max_tokens, *_limits(model)])
        model.register_forward_pre_hook(lambda *_: self.threads.fit())
        return model.eval()

    def _source(self) -> str:
        """A local folder, or the hub name for the library to resolve."""
        if URI.match(self.model):
            return str(fetch(self.model, sha256=self.sha256))
        if (folder := expanded(self.model, "encoder.model")).is_dir():
            return str(folder)
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
        model, prompt = self._model, self._prompt
        try:
            with self.threads.fitted():
                raw = model.encode(
                    texts, prompt=prompt, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False
                )
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"encoder.model={self.model} cannot read these texts ({first_line(error)}): type a smaller"
                " encoder.max_tokens or encoder.batch_size, or take another encoder"
            ) from error
        unit = F.normalize(raw.float(), dim=-1)
        if not unit.isfinite().all():
            remedy = "its weights are damaged" if self.dtype == torch.float32 else "type encoder.dtype=float32"
            raise InputError(f"encoder.model={self.model} gave vectors that are not finite: {remedy}")
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
    """Token limits of a model: those it states, and as many as its table of positions has rows for.

    RoBERTa and its kin count positions from behind the padding token's.
    """
    tables = [
        module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and POSITIONS.search(name)
    ]
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    stated = (model.max_seq_length, getattr(config, "max_seq_len", None))  # MPT's, of its biases
    return [*tables, *(int(limit) for limit in stated if limit and not math.isinf(limit))]


@contextmanager
def _load_report() -> Iterator[list[str]]:
    """Names of weights that transformers finds in no file, and would fill at random; a pooler's are not used."""
    names: list[str] = []

    class Report(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            rows = [line.split("|") for line in record.getMessage().splitlines() if "|" in line]
            names.extend(row[0].strip() for row in rows if "MISSING" in row[1] and "pooler" not in row[0])

    library, handler = logging.getLogger("transformers.modeling_utils"), Report()
    level, propagate, disabled = library.level, library.propagate, library.disabled
    library.addHandler(handler)
    library.disabled = False  # Hydra's logging configuration turns loggers off that stood before it
    library.setLevel(logging.INFO)  # at WARNING transformers warns of plans for tensor parallelism that nobody made
    library.propagate = False
    try:
        yield names
    finally:
        library.removeHandler(handler)
        library.setLevel(level)
        library.propagate, library.disabled = propagate, disabled
