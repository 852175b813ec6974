"""What others can add by a package of their own: declarations that are found by looking.

hpsearch's own lie in the folders of one package, a folder each. Others come from installed
packages, by an entry-point group of the same name. Those are looked for only where a name is none
of hpsearch's own, or where all are wanted: it takes a look at every installed package.
"""

from __future__ import annotations

import logging
import pkgutil
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hpsearch.code import explained, note_package
from hpsearch.errors import CodeError, HpsearchError, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PluginError", "Registry", "named"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


def named(path: str) -> Any:
    """What a dotted path, `package.module:name`, leads to. Its module is imported now.

    Raises PluginError where there is none.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{path} cannot be used: {line(error)}") from error


class PluginError(HpsearchError):
    """What an installed package declares cannot be used; the message says which and why."""


class Registry(Generic[T]):
    """The declarations of one kind, by name."""

    def __init__(self, kind: type[T], package: str) -> None:
        """
        Args:
            kind: The class of a declaration; it has a `name`. A folder of ours has one under the
                name of the class in capitals.
            package: The package of our folders, and the entry-point group of the others.
        """
        self._kind, self._package = kind, package
        self._loaded: dict[str, T] = {}

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Names of those that come with hpsearch."""
        folders = pkgutil.iter_modules(import_module(self._package).__path__)
        return tuple(sorted(folder.name for folder in folders if folder.ispkg))

    def find(self, name: str) -> T | None:
        """The declaration of that name; None where there is none here.

        Raises PluginError where there is one that cannot be used.
        """
        if name not in self._loaded:
            declaration = self._own(name) if name in self.own else self._installed(name)
            if declaration is None:
                return None
            self._loaded[name] = declaration
        return self._loaded[name]

    def __getitem__(self, name: str) -> T:
        """The declaration of that name, which has to be here."""
        declaration = self.find(name)
        if declaration is None:
            noun = self._kind.__name__.lower()
            raise PluginError(
                f"there is no {noun} {name!r} here: install the package that has it, on every "
                f"machine that works on it"
            )
        return declaration

    def all(self, *, installed: bool = True) -> Mapping[str, T]:
        """All of them: hpsearch's own in order, then those of installed packages.

        Of what cannot be used a warning says why.
        """
        members = {name: self[name] for name in self.own}
        for name in self._entries if installed else ():
            if why := self._fault(name):
                _log.warning("%s", why)
            else:
                members[name] = self[name]
        return members

    def added(self) -> Iterator[tuple[str, str, str]]:
        """What installed packages add: its kind and name, the package and its version, and why it
        is left out; "" where it is not."""
        for name in self._entries:
            what, _, package = self._labels(name).partition(" of ")
            yield what, package, self._fault(name)

    def _fault(self, name: str) -> str:
        """Why what an installed package has under a name is left out; "" where it is not."""
        if name in self.own:
            return f"{self._labels(name)} is left out: hpsearch has one of that name"
        try:
            self[name]
        except PluginError as error:
            return str(error)
        return ""

    def brought(self, name: str) -> str:
        """The installed package that has it, as messages name it: `family toy of toy-family 1.0`;
        "" where it is hpsearch's own, or a study's own code."""
        return "" if name in self.own or name not in self._entries else self._labels(name)

    @contextmanager
    def holding(self, name: str, declaration: T) -> Iterator[None]:
        """Inside, a declaration has its name here, whether or not a package with it is installed:
        for checks of it."""
        before = self._loaded.get(name)
        self._loaded[name] = declaration
        try:
            yield
        finally:
            del self._loaded[name]
            if before is not None:
                self._loaded[name] = before

    @contextmanager
    def blamed(self, name: str) -> Iterator[None]:
        """Inside, what goes wrong in code of the installed package that has it is a CodeError with
        the package's name and the place in it. HpsearchErrors and a lack of memory stay what
        they are, and so does whatever goes wrong in hpsearch's own."""
        try:
            yield
        except HpsearchError:
            raise
        except Exception as error:
            # PyTorch's error of a lack of memory is a RuntimeError: `training.devices` reads it.
            lacks = isinstance(error, RuntimeError) and "memory" in str(error)
            if lacks or isinstance(error, MemoryError):
                raise
            if not (package := self.brought(name)):
                raise
            raise CodeError(f"{package}: {explained(error)}") from error

    @cached_property
    def _entries(self) -> Mapping[str, list[EntryPoint]]:
        """Those of installed packages by name; more than one where packages disagree."""
        entries: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self._package):
            entries.setdefault(entry.name, []).append(entry)
        return dict(sorted(entries.items()))

    def _own(self, name: str) -> T:
        module = import_module(f"{self._package}.{name}")
        declaration: T = getattr(module, self._kind.__name__.upper())
        return declaration

    def _installed(self, name: str) -> T | None:
        entries = self._entries.get(name, ())
        if not entries:
            return None
        if len(entries) > 1:
            raise PluginError(f"{self._labels(name)}: only one of them can be used; remove the "
                              "others")  # fmt: skip
        try:
            declaration = entries[0].load()
        except Exception as error:
            raise PluginError(
                f"{self._labels(name)} cannot be loaded: {type(error).__name__}: {line(error)}"
            ) from error
        note_package(entries[0].module)
        if not isinstance(declaration, self._kind):
            raise PluginError(
                f"{self._labels(name)} is no {self._kind.__name__}: {entries[0].value} is of type "
                f"{type(declaration).__name__}"
            )
        own_name = getattr(declaration, "name", None)
        if own_name != name:
            raise PluginError(f"{self._labels(name)} calls itself {own_name!r}; both names have to "
                              "be the same")  # fmt: skip
        return declaration

    def _labels(self, name: str) -> str:
        """A name, and the packages that have it."""
        packages = [
            f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            for entry in self._entries[name]
        ]
        noun = self._kind.__name__.lower()
        return f"{noun} {name} of {' and of '.join(sorted(packages))}"
