"""The device that computes, and the dtype that is fast on it."""

from __future__ import annotations

import os

import torch

from pte.schema import InputError, one_of

DTYPES = ("auto", "float32", "bfloat16", "float16")  # of models that read or write text


def device_of(accelerator: str) -> torch.device:
    """auto: a GPU where there is one."""
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def named_device(name: str, knob: str) -> torch.device:
    """auto: the first available of cuda, mps and cpu. InputError, by the knob, for one that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind, _, number = name.partition(":")
    if name == "auto":
        return torch.device(next(kind for kind in there if there[kind]))
    if kind not in there or (":" in name and not (kind == "cuda" and number.isdigit())):
        raise InputError(f"{knob}={name}: take auto, cpu, cuda, cuda:1 or mps")
    if not there[kind] or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise InputError(f"{knob}={name}: there is none on this machine; take auto or cpu")
    return torch.device(name)


def named_dtype(name: str, device: torch.device, knob: str) -> torch.dtype:
    """auto: the fast one of the device. InputError, by the knob, for one that is not offered."""
    one_of(knob, name, DTYPES)
    return fast_dtype(device) if name == "auto" else getattr(torch, name)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively (there 2 to 4 times faster), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32
