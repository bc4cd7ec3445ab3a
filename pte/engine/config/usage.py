"""What `pte --help` prints: the commands, the stages, every group and its options, examples. Imports no Hydra."""

from __future__ import annotations

import textwrap

from pte.paths import CONF_DIR

TEXT = """\
pte [GROUP=OPTION ...] [GROUP.KNOB=VALUE ...]     one run, from raw data to a table of figures
pte -m GROUP=OPTION,OPTION seed=0,1,2 ...         a sweep: one run for every combination
pte compare RUN RUN ...                           finished runs (or a sweep's folder) as one table; pte compare --help
pte show RUN user|item NAME; pte export profiles|vectors RUN; pte recommend RUN --user ID      look into one run
pte list; pte clean                               runs and artefacts; what can be deleted, --yes deletes it
pte leaderboard FOLDER ...                        every result below, by data set and protocol; pte leaderboard --help
pte serve RUN                                     a page to try the model of a run on; pte serve --help
pte workspace                                     a view of a W&B project with panels; pte workspace --help
(python -m pte.run is the same command.)

Stages, in order: interactions split profiles embeddings selection training metrics report; beside them refit,
reader (where there is something for them to do) and audit.
  until=STAGE  stop after a stage        stage=STAGE  run one stage alone, from finished parents
  plan=true    check the whole configuration, show every stage's key, found or missing, and make nothing

Groups and options ({conf}):
{groups}
  ranking=full|sampled  seed=0  paths.outputs=outputs
  --config-dir FOLDER adds options of your own; --cfg job prints the configuration; --hydra-help lists the rest.

Examples:
  pte dataset=custom dataset.interactions=my/inter.csv dataset.items=my/items.csv backbone=markov representation=id
  pte dataset=Toys backbone=sasrec representation=id plan=true
  pte -m backbone=sasrec,dreamrec seed=0,1,2
A value with blanks, commas or letters beyond ASCII is quoted twice: 'dataset.items="my items.csv"'.
"""


def text() -> str:
    """The page, with the options as they lie in conf/."""
    lines = []
    for folder in sorted(path for path in CONF_DIR.iterdir() if path.is_dir()):
        options = " ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        lines += textwrap.wrap(options, 100, initial_indent=f"  {folder.name:<15} ", subsequent_indent=" " * 18)
    return TEXT.format(conf=CONF_DIR, groups="\n".join(lines))
