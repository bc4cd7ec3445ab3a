"""Environments of their own for the peers, below outputs/peers: their dependencies conflict with ours."""

import subprocess
import sys
from pathlib import Path

# RecBole is installed without its dependencies (ray<=2.6.3 has no build for Python 3.11) beside those it really uses.
RECIPES = {
    "recbole": [
        ["torch==2.13.0"],
        ["--no-deps", "recbole==1.2.1"],
        ["numpy<2", "pandas", "scipy", "scikit-learn", "pyyaml", "colorlog==4.7.2", "colorama==0.4.4", "tqdm",
         "texttable", "psutil", "thop", "tabulate", "plotly", "tensorboard"],
    ],
    "rectools": [["torch==2.13.0"], ["rectools[torch]==0.19.0"]],
}  # fmt: skip


def python_of(peer: str, root: Path) -> Path:
    """The interpreter of a peer's environment, made on the first call."""
    folder = root / peer
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"setting up {peer} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for words in RECIPES[peer]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True)
        ready.touch()
    return python
