"""The configuration composed once before Hydra runs a job: what cannot be composed is refused in one sentence.

Hydra writes a job's configuration before the job can look at it, and answers a mistyped name with exit status 1. So
the same words are composed here first: every value of a swept group in turn, secrets in any file refused.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.engine.config import renamed, secret, source
from pte.paths import CONF_DIR, expanded
from pte.schema import InputError, first_line, typed
from pte.schema.knob import leaves

SEVERAL = ("logger", "experiment")  # groups of which several options may be taken at once
PLACES = ("paths.outputs", "paths.store", "hydra.run.dir", "hydra.sweep.dir")
ROOM = 1 << 16  # bytes of a run folder without figures, at least
_HOME = re.compile(rf"({'|'.join(map(re.escape, PLACES))})=(['\"]?)(~[\w.-]*)(?=/|['\"]?$)")


def ordered(words: list[str]) -> list[str]:
    """Flags first: Hydra does not read overrides on both sides of one, as in `backbone=a,b -m seed=0,1`."""
    overrides = get_args_parser().parse_intermixed_args(words).overrides
    return [*(word for word in words if word not in overrides), *map(at_home, overrides)]


def at_home(word: str) -> str:
    """An override of a folder that is to be, its ~ expanded, which Hydra would take for a folder of that name."""
    return _HOME.sub(lambda match: f"{match[1]}={match[2]}{expanded(match[3], match[1])}", word)


def check(words: list[str]) -> None:
    """InputError for words that Hydra would refuse, and for secrets in what it would write."""
    arguments = get_args_parser().parse_args(words)
    overrides = [_parsed(word) for word in arguments.overrides]
    searched = []
    if arguments.config_dir:
        check_folder(Path(arguments.config_dir))
        searched = [f"hydra.searchpath=[file://{Path(arguments.config_dir).absolute()}]"]
    main = Path(arguments.config_path).absolute() if arguments.config_path else CONF_DIR
    with initialize_config_dir(str(main), version_base="1.3"):
        for job in _jobs(overrides, sweeping=arguments.multirun):
            for word in job:
                _refuse_change(_parsed(word))
            config = _composed(arguments.config_name or "config", [*searched, *job])
            tree: Any = OmegaConf.to_container(config, resolve=False)
            for name, value in leaves(tree):
                secret.refuse(name, value)
            renamed.refuse(tree)
            with source.names_as_typed(config, job):
                for override in overrides:
                    _refuse_nothing(override, config)
                for knob in PLACES if not arguments.cfg else ():
                    _writable(knob, config, str(dict(leaves(tree)).get(knob)))


def _refuse_change(override: Override) -> None:
    """InputError where a group is given no name of an option, or what every run needs is left out."""
    name, value = override.key_or_group, override.value()
    options = sorted(file.stem for file in (CONF_DIR / name).glob("*.yaml"))
    if override.is_delete():
        if name.partition(".")[0] in ("paths", "trainer") or "." not in name:
            raise InputError(f"~{name}: every run needs it; leave the word out to have what is usual")
    elif options and not override.is_sweep_override():
        several = isinstance(value, list) and (len(value) == 1 or name in SEVERAL)
        if not (isinstance(value, str) or several):
            raise InputError(f"{name}={typed(value)}: choose one of {', '.join(options)}")
    elif value is None and name == "hydra":
        raise InputError(f"{name}=null: every run needs it; leave the word out to have what is usual")


def _refuse_nothing(override: Override, config: Any) -> None:
    """InputError for {} where knobs are: values are merged, so that all would stay as they were."""
    inside = OmegaConf.select(config, override.key_or_group, throw_on_resolution_failure=False)
    if override.value() == {} and not override.is_delete() and OmegaConf.is_dict(inside) and len(inside):
        knobs: Any = OmegaConf.to_container(inside)
        first, value = next(iter(knobs.items()))
        raise InputError(
            f"{override.key_or_group}={{}} changes nothing: knobs are merged; give each a value of its own, as"
            f" {override.key_or_group}.{first}={typed(value)}"
        )


def _writable(knob: str, config: Any, raw: str) -> None:
    """A folder that is to be, by writing into what there is of it; of one that its job decides, as far as is known."""
    if knob == "paths.outputs" and "${hydra:" in raw:
        raise InputError(f"{knob}={raw}: it is needed before a job begins: give a folder")
    later = "${hydra:" in raw or ("${" in raw and knob.startswith("hydra."))
    place: Any = raw.partition("${")[0] if later else OmegaConf.select(config, knob)
    if later and not place:
        return
    if place is None or not str(place).strip():
        raise InputError(f"{knob}={typed(place)}: give a folder")
    folder = expanded(str(place), knob).absolute()
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(ROOM))
    except OSError as error:
        raise InputError(f"{knob}={place}: nothing can be written there ({error.strerror})") from None


def check_folder(folder: Path) -> None:
    """A folder of one's own options: it is there, its files are yaml, and none holds a secret."""
    if not folder.is_dir():
        raise InputError(f"--config-dir {folder}: there is no such folder")
    for file in sorted(folder.rglob("*.yaml")):
        try:
            options = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "it is not UTF-8 text"
            raise InputError(f"{file}{where}: not readable as yaml ({problem})") from None
        group = ".".join(file.relative_to(folder).parent.parts)
        for name, value in leaves(options):
            secret.refuse(f"{group}.{name}" if group else name, value)


def _parsed(word: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(word)
        if not override.key_or_group:
            raise InputError(f"{word}: there is no name before the =: type NAME=VALUE")
        return override
    except HydraException:  # of the parser, or of the lexer below it
        raise InputError(
            f"{word}: cannot be read as NAME=VALUE; a value with ~, blanks, commas, brackets or letters beyond ASCII"
            f""" needs double quotes inside single ones: '{word.partition("=")[0]}="..."'"""
        ) from None


def _jobs(overrides: list[Override], sweeping: bool) -> Iterator[list[str]]:
    """The words of the first job, then of one job more for every other value of a swept word."""
    usual, others = [], []
    for override in overrides:
        swept = sweeping and override.is_sweep_override()
        values = list(override.sweep_string_iterator()) if swept else []
        name = (override.input_line or "").partition("=")[0]
        usual.append(f"{name}={values[0]}" if values else str(override.input_line))
        grouped = (CONF_DIR / override.key_or_group).is_dir()
        others += [(len(usual) - 1, f"{name}={value}") for value in values[1:] if grouped]
    yield usual
    for place, word in others:
        yield [*usual[:place], word, *usual[place + 1 :]]


def _composed(name: str, words: list[str]) -> Any:
    try:
        return compose(name, overrides=words, return_hydra_config=True)
    except MissingConfigException as error:
        group, _, option = (error.missing_cfg_file or name).rpartition("/")
        options = list(error.options or [])
        if absent := re.search(r"Could not load '([\w/]+)/([^/']+)'", str(error)):  # one of a list
            known = ", ".join(sorted(file.stem for file in (CONF_DIR / absent[1]).glob("*.yaml")))
            raise InputError(f"{absent[1]}=[{absent[2]}]: there is no such option; {absent[1]} has {known}") from None
        if not group or not options:
            raise InputError(first_line(error)) from None
        close = suggestion(option, options, group) or f"; {group} has {', '.join(options)}"
        raise InputError(f"{group}={option}: there is no such option{close}") from None
    except (HydraException, OmegaConfBaseException, ConfigCompositionException) as error:
        if "Ambiguous value" in str(error):
            raise InputError(f"{first_line(error)}: add -m to run each of them, or give one") from None
        if there := re.search(r"An item is already at '([\w.]+)'", str(error)):
            raise InputError(f"+{there[1]}: it is there already: type it without +") from None
        if absent := re.search(r"Could not delete from config\. '([\w.]+)' does not exist", str(error)):
            raise InputError(f"~{absent[1]}: there is no such knob, or it is null already") from None
        added = next((word for word in words if word.startswith("+")), "")
        if added and re.search(r"^(?:Multiple values for|force-add of)|appears more than once", str(error)):
            raise InputError(f"{added}: it is there already: type it without +") from None
        if kind := re.search(r"^Error merging override (\S+)", str(error)):
            raise InputError(f"{kind[1]}: give a value of the kind it has by default; pte --cfg all shows it") from None
        match = re.search(r"Could not (?:override|append to|delete) '?([\w.@/]+)'?", str(error))
        if not match:
            raise InputError(first_line(error)) from None
        knob = match.group(1)
        given = next((word for word in words if word.lstrip("+~").startswith(knob)), knob)
        if hint := renamed.moved(knob):
            raise InputError(f"{given}: {hint}{given.partition('=')[2]}") from None
        names = _names(name, words)
        within = [own for own in names if "." in knob and own.startswith(f"{knob.partition('.')[0]}.")]
        hint = suggestion(knob, within, exact=True) or _elsewhere(knob) or suggestion(knob, names)
        raise InputError(f"{given}: there is no knob or group {knob}{hint}") from None
    except (AssertionError, ValueError, TypeError, AttributeError, LookupError) as error:  # of Hydra, for odd words
        given = " ".join(word for word in words if not word.startswith("hydra.searchpath"))
        raise InputError(f"{given}: this configuration cannot be composed ({first_line(error)})") from None


def suggestion(typed: str, known: list[str], group: str = "", exact: bool = False) -> str:
    """What is spelt alike, as a question; a knob typed without its group is found by its last part, exact: so alone."""
    part = typed.rpartition(".")[2] if exact else typed
    last = sorted((n for n in known if n.rpartition(".")[2] == part), key=lambda n: n.count("."))
    close = last[:3] or ([] if exact else get_close_matches(typed, known, n=1, cutoff=0.6))
    if not close and not exact:
        parts = {name.rpartition(".")[2]: name for name in known}
        close = [parts[part] for part in get_close_matches(typed.rpartition(".")[2], list(parts), n=1, cutoff=0.75)]
    return f"; did you mean {' or '.join(f'{group}={name}' if group else name for name in close)}?" if close else ""


def _elsewhere(knob: str) -> str:
    """The options of a knob's group, or of a group nested in it, that have it."""
    top, _, rest = knob.partition(".")
    places: dict[str, list[str]] = {}
    for file in sorted((CONF_DIR / top).rglob("*.yaml")) if rest else []:
        group = file.parent.relative_to(CONF_DIR)
        for name in [] if group.name == "base" else _knobs(file, ".".join(group.parts)):
            if name.rpartition(".")[2] == rest.rpartition(".")[2]:
                places.setdefault(name, []).append(f"{group}={file.stem}")
    own = {knob: places[knob]} if knob in places else places
    hints = [f"{'' if name == knob else f'{name}, '}a knob of {' or '.join(where)}" for name, where in own.items()]
    return f"; it is {' or '.join(hints)}" if hints else ""


def _knobs(file: Path, group: str) -> list[str]:
    """The knobs of an option file, with those of the files that it stands on (base/NAME@_here_)."""
    text = file.read_text("utf-8")
    options = yaml.safe_load(text)
    where = "" if text.startswith("# @package _global_") else f"{group}."
    bases = [str(entry).removesuffix("@_here_") for entry in options.get("defaults", []) if "@_here_" in str(entry)]
    inner = [name for base in bases for name in _knobs(file.parent / f"{base}.yaml", group)]
    return [*(f"{where}{leaf}" for leaf, _ in leaves(options) if leaf != "defaults"), *inner]


def _names(name: str, words: list[str]) -> list[str]:
    """Every knob and group there is beside the selected options."""
    choices = [
        w for w in words if (CONF_DIR / w.lstrip("+").partition("=")[0]).is_dir() or w.startswith("hydra.search")
    ]
    try:
        config = OmegaConf.to_container(compose(name, overrides=choices), resolve=False)
    except HydraException:
        config = OmegaConf.to_container(compose(name), resolve=False)
    names = dict.fromkeys(leaf for leaf, _ in leaves(config))
    inner = (leaf.rsplit(".", cut)[0] for leaf in names for cut in range(1, leaf.count(".") + 1))
    return list(dict.fromkeys([*names, *inner]))
