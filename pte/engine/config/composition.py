"""The configuration composed once before Hydra runs a job: what cannot be composed is refused in one sentence.

Hydra writes a job's configuration before the job can look at it, and answers a mistyped name with exit status 1. So
the same words are composed here first: every value of a swept group in turn, secrets in any file refused.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.engine.config import change, renamed, secret, source, spelling
from pte.paths import CONF_DIR, expanded
from pte.schema import InputError, first_line, typed
from pte.schema.knob import leaves

PLACES = ("paths.outputs", "paths.store", "hydra.run.dir", "hydra.sweep.dir")
FLAGS = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")  # one of them at most
ROOM = 1 << 16  # bytes of a run folder without figures, at least
_NAME = re.compile(r"(?:\+{1,2}|~)?[A-Za-z_][\w-]*(?:[./][\w-]+)*(?:@[\w.]+)?")
_HOME = re.compile(rf"({'|'.join(map(re.escape, PLACES))})=(['\"]?)(~[\w.-]*)(?=/|['\"]?$)")


def ordered(words: list[str]) -> list[str]:
    """Flags first: Hydra does not read overrides on both sides of one, as in `backbone=a,b -m seed=0,1`."""
    overrides = _parser().parse_intermixed_args(words).overrides
    return [*(word for word in words if word not in overrides), *map(at_home, overrides)]


def _parser() -> ArgumentParser:
    """Hydra's own, which ends the process where it cannot read a word; ours raises InputError."""

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; pte --help shows what a command takes")

    parser: ArgumentParser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser


def at_home(word: str) -> str:
    """An override of a folder that is to be, its ~ expanded, which Hydra would take for a folder of that name."""
    return _HOME.sub(lambda match: f"{match[1]}={match[2]}{expanded(match[3], match[1])}", word)


def check(words: list[str]) -> None:
    """InputError for words that Hydra would refuse, and for secrets in what it would write."""
    arguments = _parser().parse_args(words)
    _check_flags(arguments)
    overrides = [_parsed(word) for word in arguments.overrides]
    searched = []
    if arguments.config_dir:
        check_folder(Path(arguments.config_dir))
        searched = [f"hydra.searchpath=[file://{Path(arguments.config_dir).absolute()}]"]
    name = arguments.config_name or "config"
    main = Path(arguments.config_path).absolute() if arguments.config_path else CONF_DIR
    with initialize_config_dir(str(main), version_base="1.3"):
        for job in _jobs(overrides, sweeping=arguments.multirun):
            for each in job:
                change.refuse_change(_parsed(each))
            config = _composed(name, [*searched, *job])
            tree: Any = OmegaConf.to_container(config, resolve=False)
            for knob, value in leaves(tree):
                secret.refuse(knob, value)
            if arguments.resolve:
                secret.refuse_resolved(config, tree)
            renamed.refuse(tree)
            if arguments.package:
                _check_package(arguments.package, arguments.cfg, config)
            with source.names_as_typed(config, job):
                for override in overrides:
                    change.refuse_nothing(override, config)
                    if override.is_delete():
                        change.refuse_unrecorded(override, tree)
                    elif override.is_add() or override.is_force_add():
                        change.refuse_unread(override, tree, spelling.known_names(name, [*searched, *job]))
                for knob in PLACES if not arguments.cfg else ():
                    _writable(knob, config, str(dict(leaves(tree)).get(knob)))


def _check_flags(arguments: Namespace) -> None:
    """InputError for flags of Hydra that exclude each other, go with another one, or run what is not checked here."""
    several = [flag for flag in FLAGS if getattr(arguments, flag.lstrip("-").replace("-", "_"))]
    if len(several) > 1:
        raise InputError(f"{' '.join(several)}: give one of them")
    for flag in ("resolve", "package"):
        if getattr(arguments, flag) and not arguments.cfg:
            raise InputError(f"--{flag} goes with --cfg, which shows a configuration")
    if arguments.experimental_rerun:
        raise InputError("--experimental-rerun: type the run's command again: what it has made is found")


def _check_package(package: str, view: str, config: DictConfig) -> None:
    """InputError for --package where the --cfg of a view (job, hydra or all) has no such part."""
    names = (name.rpartition(".")[0] for name, _ in leaves(OmegaConf.to_container(config, resolve=False)))
    parts = [part for part in dict.fromkeys(names) if view in ("all", "hydra" if part.startswith("hydra") else "job")]
    if package != "_global_" and not any(part == package or part.startswith(f"{package}.") for part in parts):
        raise InputError(f"--package {package}: there is no such part{spelling.suggestion(package, parts)}")


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
        there = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
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
        raise InputError(f"{word}: {_unreadable(word)}") from None


def _unreadable(word: str) -> str:
    """Why a word is no NAME=VALUE, and what to type."""
    name, equals, _ = word.partition("=")
    odd = next((letter for letter in word if not letter.isascii()), "")
    note = f"it holds {odd}, {unicodedata.name(odd, 'a letter beyond ASCII')}; " if odd else ""
    if not equals:
        return f"{note}there is no = in it: type NAME=VALUE"
    if not _NAME.fullmatch(name):
        return f"{note}{name} is no name: type words joined by dots, as optimizer.lr=VALUE or backbone/loss=OPTION"
    return (
        f"{note}it cannot be read as NAME=VALUE; a value with ~, blanks, =, commas, brackets or letters beyond ASCII"
        f""" needs double quotes inside single ones: '{name}="..."'"""
    )


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
        close = spelling.suggestion(option, options, group) or f"; {group} has {', '.join(options)}"
        raise InputError(f"{group}={option}: there is no such option{close}") from None
    except (HydraException, OmegaConfBaseException, ConfigCompositionException) as error:
        if "Ambiguous value" in str(error) or "requires --multirun" in str(error):
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
        names = spelling.known_names(name, words)
        within = [own for own in names if "." in knob and own.startswith(f"{knob.partition('.')[0]}.")]
        alike = spelling.suggestion
        hint = alike(knob, within, exact=True) or spelling.elsewhere(knob) or alike(knob, names)
        raise InputError(f"{given}: there is no knob or group {knob}{hint}") from None
    except (AssertionError, ValueError, TypeError, AttributeError, LookupError) as error:  # of Hydra, for odd words
        given = next((word for word in words if _composes(name, [each for each in words if each != word])), name)
        raise InputError(f"{given}: this configuration cannot be composed ({first_line(error)})") from None


def _composes(name: str, words: list[str]) -> bool:
    try:
        compose(name, overrides=words)
    except Exception:  # whatever Hydra raises for what it does not expect
        return False
    return True
