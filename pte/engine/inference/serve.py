"""`pte serve RUN`: a page on this machine where a history is typed by title and the run's own model recommends.

Needs gradio (`pip install 'pte[serve]'`). Nothing is sent anywhere: the page answers this machine alone unless --host
says otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pte.artifact import Stored
from pte.engine.inference.recommend import RunModel, typed
from pte.schema import InputError, Interactions

COLUMNS = ("place", "id", "title", "about")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="pte serve", description="Try a run's model on histories typed by title.")
    options.add_argument("run", type=Path, help="the folder of a finished run")
    options.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    options.add_argument("--port", type=int, default=7860, help="default: 7860")
    return options


def main(arguments: Sequence[str]) -> None:
    """Serve until interrupted."""
    options = parser().parse_args(arguments)
    if importlib.util.find_spec("gradio") is None:
        raise InputError("pte serve needs gradio: pip install 'pte[serve]'")
    if not 1 <= options.port <= 65535:
        raise InputError(f"--port {options.port}: type a number from 1 to 65535")
    stored = Stored(options.run)
    data = Interactions.load(stored.path("interactions"))
    blocks = page(RunModel(stored, data), data)
    try:
        blocks.launch(
            server_name=options.host, server_port=options.port, share=False, quiet=True, prevent_thread_lock=True
        )
    except OSError as error:
        raise InputError(f"--host {options.host} --port {options.port}: {error}") from None
    print(f"http://{options.host}:{options.port}  (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


def answer(model: RunModel, data: Interactions, words: str, count: int) -> tuple[list[list[Any]], str]:
    """Rows of COLUMNS, best first, and what the history was taken to be; or no rows and what is wrong with it."""
    try:
        history = typed(data, words)
        if not (free := data.num_items - len(set(history))):
            raise InputError("The history holds every item: none is left to recommend")
        count = min(int(count), free)
        items = model.best(history, count)
    except InputError as error:
        return [], str(error)
    about = [" · ".join(column[i] for column in data.items.text.values() if column[i])[:200] for i in items]
    rows = [
        [n, data.items.item_id[i], data.items.title[i], text]
        for n, (i, text) in enumerate(zip(items, about, strict=True), 1)
    ]
    return rows, "After: " + " → ".join(data.items.title[i] for i in history)


def page(model: RunModel, data: Interactions) -> Any:
    """The page, not yet served."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    with gradio.Blocks(title="pte", analytics_enabled=False) as blocks:
        gradio.Markdown(f"# {data.card.get('name', 'pte')}: what comes next?")
        history = gradio.Textbox(label="History: titles or ids, oldest first, one a line", lines=6)
        count = gradio.Slider(1, min(50, max(1, data.num_items - 1)), value=10, step=1, label="how many")
        note = gradio.Markdown()
        table = gradio.Dataframe(headers=list(COLUMNS), interactive=False, wrap=True)
        button = gradio.Button("Recommend")
        button.click(
            lambda words, n: answer(model, data, words, n), [history, count], [table, note], api_name="recommend"
        )
    return blocks
