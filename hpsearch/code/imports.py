"""How a study's own code is run: the one folder of this process, and only files of its manifest.

Python's imports are global to a process, and so is the folder. A file is read once, its hash is
compared, and what was compared is what is compiled: no `.pyc` is read or written.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import site
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from hpsearch.code.manifest import Manifest, Stamp, content_of, is_left_out, manifest_of
from hpsearch.errors import CodeError, line

__all__ = [
    "Code", "explained", "function", "importing", "in_use", "located", "note_package", "place_of",
    "running", "use",
]  # fmt: skip

E = TypeVar("E", bound=BaseException)

NEEDED = "name the folder of the study's own code with --code DIR, or HPSEARCH_CODE"


@dataclass(frozen=True, eq=False)
class Code:
    """The folder of a study's own code, and what is to be run of it."""

    folder: Path
    """An absolute path without links."""
    manifest: Manifest
    _known: dict[str, tuple[Stamp, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, folder: Path) -> Code:
        """The code in a folder as it is now. Raises CodeError where it cannot be read."""
        stamps: dict[str, tuple[Stamp, str]] = {}
        return cls(folder.resolve(), manifest_of(folder, stamps), stamps)

    def check(self) -> None:
        """Raise CodeError where the folder has no longer what this process may import. A file that
        is new is none of it."""
        changes = self.manifest.differences(manifest_of(self.folder, self._known), more=False)
        if changes:
            raise CodeError(
                f"the code in {self.folder} has changed since this process began: {changes}; put "
                "it back, or start again"
            )


def use(code: Code | None) -> None:
    """Run code from that folder from now on, and from no other; None: from none.

    Modules of another folder, or of an earlier state of this one, are forgotten by Python; what was
    made by them works on.
    """
    loaded, _FINDER.code = _FINDER.loaded, code
    if code and loaded and (code.folder, code.manifest) == (loaded.folder, loaded.manifest):
        return
    if loaded:  # else none can be there: a new process does not look at all that is imported
        for name in [name for name, module in sys.modules.items() if _is_own(module)]:
            del sys.modules[name]
    _FINDER.loaded = code
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    importlib.invalidate_caches()


@contextmanager
def running(code: Code | None) -> Iterator[None]:
    """Inside, code from that folder runs; after it this process imports as it did before, what it
    has of that folder by itself included. None changes nothing."""
    if code is None:
        yield
        return
    before, theirs = _FINDER.code, _theirs(code)
    for name in theirs:
        del sys.modules[name]
    use(code)
    try:
        yield
    finally:
        _FINDER.code = before
        sys.modules.update(theirs)


def _theirs(code: Code) -> dict[str, ModuleType]:
    """Modules of that folder that Python has imported by itself."""
    files = {str(code.folder / name) for name in code.manifest.files}
    return {
        name: module for name, module in list(sys.modules.items())
        if name != "__main__" and getattr(module, "__file__", None) in files and not _is_own(module)
    }  # fmt: skip


def in_use() -> Path | None:
    """The folder that this process runs code from; None: it runs none."""
    return None if _FINDER.code is None else _FINDER.code.folder


def importing() -> bool:
    """Whether a file of own code is being imported for a worker now: what it does at its top is
    done in every worker."""
    return _FINDER.importing > 0


def function(reference: str) -> Callable[..., Any]:
    """The function that `FILE.py:FUNCTION` names; its module is imported now.

    Raises CodeError where this process has no folder of code, and for whatever goes wrong in it.
    """
    file, _, name = reference.partition(":")
    code = _FINDER.code
    if code is None:
        raise CodeError(f"{reference} is the study's own code; {NEEDED}")
    if file not in code.manifest.files:
        raise CodeError(f"{file} is not part of the study's own code in {code.folder}")
    module = _imported(file)
    made = getattr(module, name, None)
    if not callable(made):
        raise CodeError(f"{file} has no function {name}")
    own: Callable[..., Any] = made
    return own


def _imported(file: str) -> ModuleType:
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    try:
        _FINDER.importing += 1
        module = importlib.import_module(name)
    except CodeError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() too
        raise CodeError(f"{file} cannot be imported: {explained(error)}") from error
    finally:
        _FINDER.importing -= 1
    if not _is_own(module):
        raise CodeError(
            f"{file} cannot be imported: another module is called {name} "
            f"({getattr(module, '__file__', 'built in')}); give the file another name"
        )
    return module


_PACKAGES: dict[str, Path] = {}
"""Modules of installed packages that add to hpsearch -> their folder, or the file of one that is no
folder."""


def note_package(module: str) -> None:
    """Have messages name the place in an installed package where an error was raised, as they do
    for a study's own code. `module` is any of its modules, which has been imported."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is not None and top != "hpsearch":
        path = Path(file)
        _PACKAGES[top] = path.parent if path.stem == "__init__" else path


def explained(error: BaseException, *, kind: bool = True) -> str:
    """An exception in one line, and before it the place where it was raised in own code, or in a
    package that adds to hpsearch: `nets.py, line 12: KeyError: 'width'`.

    Args:
        error: The exception.
        kind: Whether to name its class; that of a CodeError is never named.
    """
    text, name = line(error), type(error).__name__
    if isinstance(error, SyntaxError):
        text = error.msg
    elif isinstance(error, OSError) and isinstance(error.filename, str) and error.strerror:
        # Of a whole path the name only: a folder of the trial's own would be another each time.
        path = Path(error.filename)
        text = f"{text}: {path.name if path.is_absolute() else error.filename!r}"
    plain = isinstance(error, CodeError) or not kind or text == name
    words = text if plain else f"{name}: {text}"
    place = _place(error)
    return f"{place}: {words}" if place else words


def located(error: E) -> E:
    """The exception with a note of its place in code that is not hpsearch's, which outlives its
    traceback."""
    if place := _place(error):
        error.add_note(f"{_AT}{place}")
    return error


_AT = "raised in "


def place_of(function: Callable[..., Any]) -> str:
    """Where a function of own code, or of a package that adds to hpsearch, begins."""
    code = inspect.unwrap(function).__code__
    return f"{_name(Path(code.co_filename)) or code.co_filename}, line {code.co_firstlineno}"


def _place(error: BaseException) -> str:
    """The innermost line of own code, or of a package that adds to hpsearch, that an exception went
    through; empty where there is none."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_AT):
            return str(note.removeprefix(_AT))
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        places.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno or 0))
    named = ((_name(Path(filename)), number) for filename, number in reversed(places))
    return next((f"{name}, line {number}" for name, number in named if name), "")


def _name(path: Path) -> str:
    """What messages call a file of code that is not hpsearch's; empty for any other file."""
    code = _FINDER.code
    if code is not None and path.is_relative_to(code.folder):
        name = path.relative_to(code.folder).as_posix()
        if name in code.manifest.files:
            return name
    for place in _PACKAGES.values():
        if path.is_relative_to(place):
            return path.relative_to(place.parent).as_posix()
    return ""


class _Loader(SourceFileLoader):
    """Loads one file of the manifest, if it is what the manifest says."""

    def __init__(self, name: str, path: str, digest: str) -> None:
        super().__init__(name, path)
        self._digest = digest

    def get_code(self, fullname: str) -> CodeType:
        """The module's code, compiled from the bytes that were compared."""
        path = self.get_filename(fullname)
        try:
            source = content_of(Path(path))
        except OSError as error:
            raise CodeError(f"{path} cannot be read: {line(error)}") from None
        if hashlib.sha256(source).hexdigest() != self._digest:
            raise CodeError(f"{path} has changed since this process began, and is not imported")
        compiled: CodeType = compile(source, path, "exec", dont_inherit=True)
        return compiled


def _is_own(module: ModuleType | None) -> bool:
    spec = getattr(module, "__spec__", None)
    return isinstance(spec, ModuleSpec) and (
        isinstance(spec.loader, _Loader) or spec.loader_state == _NAMESPACE
    )


_NAMESPACE = "a folder of a study's own code"
"""Marks modules that are folders without an `__init__.py`."""


class _Finder(MetaPathFinder):
    """Finds modules below the folder before Python does, which then finds all others."""

    code: Code | None = None
    """What may be imported now."""
    loaded: Code | None = None
    """What the modules are of that Python has now."""
    importing = 0
    """Modules of own code that are being imported for a worker, one inside the other."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module below the folder; CodeError for one that the manifest does not have."""
        code = self.code
        if code is None:
            return None
        if path is not None:
            return self._checked(code, fullname, PathFinder.find_spec(fullname, path))
        if fullname in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(fullname, [str(code.folder)])
        if spec is None or spec.origin is None:  # a folder without code is in nobody's way
            installed = PathFinder.find_spec(fullname)
            if installed is not None and installed.origin is not None:
                spec = installed
        return self._checked(code, fullname, spec)

    def _checked(self, code: Code, fullname: str, spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is None:
            return None
        if spec.origin is None:
            return self._namespace(code, fullname, spec)
        name = _below(code.folder, spec.origin)
        if name is None:
            return None
        digest = code.manifest.files.get(name)
        if digest is None:
            raise CodeError(
                f"{name} below {code.folder} is not part of the study's own code as it was when "
                "the study began, and is not imported"
            )
        loader = _Loader(fullname, spec.origin, digest)
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=loader,
            submodule_search_locations=spec.submodule_search_locations,
        )  # fmt: skip

    def _namespace(self, code: Code, fullname: str, spec: ModuleSpec) -> ModuleSpec | None:
        for place in spec.submodule_search_locations or ():
            name = _below(code.folder, str(place))
            if name is not None and any(f.startswith(f"{name}/") for f in code.manifest.files):
                own = ModuleSpec(fullname, None, is_package=True, loader_state=_NAMESPACE)
                own.submodule_search_locations = [str(place)]
                return own
        return None


def _below(folder: Path, origin: str) -> str | None:
    """A path below the folder, with slashes; None for what lies elsewhere, or is left out there."""
    path = Path(origin)
    if not path.is_relative_to(folder):
        return None
    installed = [Path(place) for place in (sys.prefix, sys.base_prefix, *site.getsitepackages())]
    inside = [place for place in installed if place.is_relative_to(folder)]
    if any(path.is_relative_to(place) for place in inside):
        return None
    parents = [p for p in path.parents if p.is_relative_to(folder) and p != folder]
    if any(is_left_out(parent) for parent in parents):
        return None
    return path.relative_to(folder).as_posix()


_FINDER = _Finder()
