"""What K candidates cost beside one, and what the engine saves beside a plain `generate` loop over the same prompts.

    python experiments/speed/profiles.py

The default language model on prompts of the default loop over MovieLens Mini, some people and films. CPU-seconds of
one process, alternating rounds, so that other work on the machine shifts no ratio. Greedy texts are compared as well,
with and without shared prefixes. Writes result/profiles.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.artifact import digest, write_atomic
from pte.engine.build import builder
from pte.paths import CONF_DIR
from pte.profiler.base import Query
from pte.profiler.engine.decode import Decoding
from pte.profiler.loop.closed_loop import sample
from pte.schema import visible_view

RESULT = Path(__file__).resolve().parent / "result"
MANY = 8


def build_profiler(num_candidates: int) -> tuple[Any, Callable[[int], list[Query]]]:
    """The default profiler, and what gives every prompt of some entities of each side."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        words = ["profiler=transformers", f"profiler.num_candidates={num_candidates}"]
        build = builder(OmegaConf.to_container(compose("config", words), resolve=True))
    data = build("dataset").read()
    profiler = build("profiler")
    return profiler, lambda size: sample(profiler.loop, visible_view(data, build("protocol")(data)), size)


def engine(profiler: Any, queries: list[Query]) -> tuple[float, int, list[str]]:
    """CPU-seconds, tokens and texts of the engine in its own batches."""
    texts, tokens, began = [""] * len(queries), 0, time.process_time()
    for batch in profiler.engine.batches(queries):
        some = [queries[i] for i in batch]
        done = profiler.engine.complete(some, [digest([a.prompt.text, a.candidate]) for a in some])
        tokens += sum(completion.tokens for completion in done)
        for i, completion in zip(batch, done, strict=True):
            texts[i] = completion.text
    return time.process_time() - began, tokens, texts


@torch.inference_mode()
def plain(profiler: Any, queries: list[Query], greedy: bool) -> tuple[float, int, list[str]]:
    """The same by one call of `generate` for every prompt, with the library's own cache."""
    causal, decoding = profiler.engine.causal, profiler.engine.decoding
    knobs = {"do_sample": False} if greedy else {
        "do_sample": True, "top_k": decoding.top_k, "top_p": decoding.top_p, "temperature": queries[0].temperature,
        "repetition_penalty": decoding.repetition_penalty,
    }  # fmt: skip
    texts, tokens, began = [], 0, time.process_time()
    for query in queries:
        prefix, lead = profiler.engine._tokens(query.prompt)
        row = torch.tensor([prefix + lead])
        out = causal.model.generate(
            row, attention_mask=torch.ones_like(row), max_new_tokens=decoding.max_new_tokens,
            pad_token_id=causal.pad, **knobs,
        )  # fmt: skip
        new = out[0, row.shape[1] :].tolist()
        tokens += len(new)
        end = next((i for i, token in enumerate(new) if causal.ends(token, one_line=True)), len(new))
        texts.append(causal.text(new[: end + 1]))
    return time.process_time() - began, tokens, texts


def measure(entities: int) -> dict[str, float]:
    """One round."""
    few, few_queries = build_profiler(1)
    many, many_queries = build_profiler(MANY)
    many.engine.causal.__dict__["model"] = few.engine.causal.model  # loaded once
    one, eight = few_queries(entities), many_queries(entities)
    engine(few, one[:2])  # kernels are chosen at first use
    seconds, tokens, _ = engine(few, one)
    seconds_many, tokens_many, _ = engine(many, eight)
    seconds_plain, tokens_plain, _ = plain(many, eight[:: MANY // 2], greedy=False)
    greedy = [replace(query, temperature=0.0) for query in eight[:MANY]]
    many.engine.decoding = Decoding(**{**vars(many.engine.decoding), "repetition_penalty": 1.0})
    shared, alone = engine(many, greedy)[2], plain(many, greedy, greedy=True)[2]
    return {
        "prompts": len(eight), "seconds_of_8_over_1": seconds_many / seconds,
        "tokens_per_second": tokens_many / seconds_many, "plain_tokens_per_second": tokens_plain / seconds_plain,
        "times_plain": tokens_many / seconds_many * seconds_plain / tokens_plain,
        "tokens_of_one": tokens, "greedy_texts": len(greedy),
        "greedy_texts_alike": sum(a == b for a, b in zip(shared, alone, strict=True)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--entities", type=int, default=3, help="of each side")
    options = parser.parse_args()
    rounds = [measure(options.entities) for _ in range(options.rounds)]
    median = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    text = json.dumps({"threads": torch.get_num_threads(), "median": median, "rounds": rounds}, indent=1)
    write_atomic(RESULT / "profiles.json", text + "\n")
    print(text)


if __name__ == "__main__":
    main()
