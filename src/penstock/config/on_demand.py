"""Modules that are imported when a configuration has a word of theirs: a directive, or a `$variable`.

What nobody has configured costs neither memory nor time. `config/` knows no modules: a floor above says which words
lead to which of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

from penstock.config.errors import ConfigError


class OnDemand:
    """Modules by the words that lead to them. Who misses a word asks for it, until it is there or nobody has it."""

    __slots__ = ("_rare", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, ...]] = {}
        self._rare: list[str] = []

    def offer(self, words: Mapping[str, tuple[str, ...]], rare: Iterable[str]) -> None:
        """Have these modules too: each with the beginnings of its words, variables with their `$`. Of `rare` ones
        nobody knows the words: they are for directives that nobody else has."""
        self._waiting.update(words)
        self._rare += rare

    def bring(self, word: str) -> bool:
        """Import the modules that may have a word, of beginnings that fit those of the longest; False where none is
        left that could have it. Raises `ConfigError`."""
        fitting = [each for beginnings in self._waiting.values() for each in beginnings if word.startswith(each)]
        longest = max(fitting, key=len, default="")
        return self._bring(lambda each: each == longest)

    def bring_rare(self) -> bool:
        """Import the next of the rare modules; False where none is left. Raises `ConfigError`."""
        if not self._rare:
            return False
        self._import(self._rare[0])
        self._rare = self._rare[1:]
        return True

    def bring_variables(self) -> None:
        """Import all modules that have variables, for who asks for them by names that no configuration has."""
        self._bring(lambda each: each.startswith("$"))

    def bring_all(self) -> None:
        """Import everything."""
        self._bring(lambda each: True)
        while self.bring_rare():
            pass

    def _bring(self, fits: Callable[[str], bool]) -> bool:
        found = [module for module, beginnings in self._waiting.items() if any(map(fits, beginnings))]
        for module in found:
            self._import(module)
            self._waiting.pop(module, None)
        return bool(found)

    def _import(self, module: str) -> None:
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigError(f"{module} can not be loaded: {error}", hint="install penstock again") from None


ON_DEMAND = OnDemand()
