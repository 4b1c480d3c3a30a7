"""audioinv check: whether what an experiment asks for exists, before anything is done for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by, unknown
from audioinv.conf.compose import compose_config
from audioinv.conf.schema import Config
from audioinv.conf.unread import WITH_SETTINGS, refuse_unread
from audioinv.data.modality import known_modalities
from audioinv.tasks import modes


@dataclass(frozen=True)
class Asked:
    """What is asked for beside one configuration.

    Args:
        words, config_dir: that the configuration was composed of. methods, protocols: names.
        corpus: name, or "", of the one whose tasks there may be.
    """

    words: Sequence[str]
    config_dir: str | None
    methods: Sequence[str]
    protocols: Sequence[str]
    corpus: str


def main(config: Config, asked: Asked) -> None:
    """Composes the settings of every method and looks up every name; does nothing else.

    Raises:
        UserError: a method, protocol, mode or task that there is not, or a word to no effect.
    """
    logging.disable(logging.WARNING)  # each method says its own when it is pre-trained
    try:
        for method in asked.methods:
            words = [*asked.words, f"method={method}"]
            refuse_unread(compose_config(words, asked.config_dir), words, asked.config_dir)
    finally:
        logging.disable(logging.NOTSET)
    known = ("linear", *WITH_SETTINGS)
    for protocol in (*asked.protocols, config.protocol):
        if protocol not in known:
            raise unknown("protocol", protocol, known)
    for mode in config.adapt.modes:
        modes.check(mode)
    for mode in (*config.fewshot.modes, *config.fewshot_published.modes):
        modes.check(mode, episodes=True)
    check_tasks(config.tasks or (), asked.corpus)


def check_tasks(names: Iterable[str], corpus: str) -> None:
    """Raises a UserError for a task that the corpus, where it tells its tasks, does not have."""
    modality = next((m for m in known_modalities() if corpus in m.corpora()), None)
    own = getattr(modality.corpora()[corpus], "TASKS", ()) if modality else ()
    known = [*(task.name for task in own), *(modality.derived_tasks if own and modality else ())]
    if own and (others := [name for name in names if name not in known]):
        near = meant_by(others, known)
        raise UserError(f"unknown task {', '.join(others)}; {corpus} has {', '.join(known)}{near}")
