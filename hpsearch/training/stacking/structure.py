"""What a network is made of, but for its numbers.

Two networks of one structure compute the same with the same weights and buffers, but for the shares
of `nn.Dropout`. Everything that a network can go by is compared: the attributes of its layers, in
functions what they have enclosed, hooks, objects of the study's own classes. What cannot be looked
into is like nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpsearch.training.stacking.dropout import DROPOUT_LAYERS, Dropout

__all__ = ["structure"]


class _OpaqueError(Exception):
    """Something that cannot be compared."""


def structure(network: nn.Module) -> str | None:
    """A hash that networks of one structure share, in this process; None where something of the
    network cannot be compared."""
    try:
        text = repr(_Writer(network).write(network))
    except Exception:  # what an object does when it is looked into is its own affair
        return None
    return hashlib.sha256(text.encode()).hexdigest()


_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_NAMED = (torch.dtype, torch.device, torch.layout, torch.memory_format, np.dtype, np.generic, range)
"""Values that their text says all of."""
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
                types.MethodDescriptorType, types.ClassMethodDescriptorType)  # fmt: skip
_LEFT_OUT = frozenset({
    "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate__", "__module__",
    "__qualname__", "__firstlineno__", "__static_attributes__", "_abc_impl",
})  # fmt: skip
"""What a class has beside what it does."""
_APART = frozenset({"_parameters", "_buffers", "_modules", "training"})
"""Attributes of a module that are written by themselves, or say nothing of its structure."""
_HEAP = 1 << 9
"""CPython's flag of a class that was made by a `class` statement."""


class _Writer:
    """Writes one network as plain tuples."""

    def __init__(self, network: nn.Module) -> None:
        named = (
            *network.named_parameters(remove_duplicate=False),
            *network.named_buffers(remove_duplicate=False),
        )
        self._own: dict[int, str] = {}
        for name, tensor in named:
            self._own.setdefault(id(tensor), name)
        self._seen: dict[int, int] = {}
        """Places of what has been begun, by identity: a second time the place is enough."""
        self._alive: list[Any] = []
        self._handles: dict[Any, int] = {}

    def write(self, value: Any) -> Any:
        """A value as tuples of texts."""
        if isinstance(value, _PLAIN) and not isinstance(value, Enum):
            return type(value).__name__, repr(value)
        if id(value) in self._own:
            return "own", self._own[id(value)]
        if isinstance(value, tuple):
            return type(value).__qualname__, tuple(map(self.write, value))
        if isinstance(value, _NAMED):
            return type(value).__name__, repr(value)
        if id(value) in self._seen:
            return "again", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        return self._new(value)

    def _new(self, value: Any) -> Any:
        for kinds, writer in _WRITERS:
            if isinstance(value, kinds):
                return writer(self, value)
        return self._object(value)

    # --- modules ------------------------------------------------------------------------------

    def _module(self, module: nn.Module) -> Any:
        tensors = [
            (name, None if tensor is None else (
                self.write(tensor), str(tensor.dtype), tuple(tensor.shape), tensor.requires_grad
            ))
            for own in (module._parameters, module._buffers)
            for name, tensor in own.items()
        ]  # fmt: skip
        layers = [(name, self.write(layer)) for name, layer in module._modules.items()]
        shares = {"p", "_dropping"} if isinstance(module, Dropout) else {"p"}
        apart = _APART | (shares if isinstance(module, DROPOUT_LAYERS) else frozenset())
        rest = [
            (name, self._hooks(value) if "hook" in name else self.write(value))
            for name, value in vars(module).items()
            if name not in apart
        ]
        return "module", self.write(type(module)), tuple(tensors), tuple(layers), tuple(rest)

    def _hooks(self, hooks: Any) -> Any:
        """PyTorch's dictionaries of hooks, whose keys are numbers that the process counts."""
        if not isinstance(hooks, dict):
            return self.write(hooks)
        places = [self._handles.setdefault(key, len(self._handles)) for key in hooks]
        return list(zip(places, map(self.write, hooks.values()), strict=True))

    # --- functions and classes ----------------------------------------------------------------

    def _function(self, function: types.FunctionType) -> Any:
        cells = function.__closure__ or ()
        if not cells and not vars(function) and _is_importable(function):
            return "function", function.__module__, function.__qualname__
        return (
            "function", function.__qualname__, self._code(function.__code__),
            self.write(function.__defaults__), self.write(function.__kwdefaults__),
            tuple(map(self._cell, cells)), self.write(vars(function)),
        )  # fmt: skip

    def _code(self, code: types.CodeType) -> Any:
        constants = [
            self._code(c) if isinstance(c, types.CodeType) else self.write(c)
            for c in code.co_consts
        ]
        return code.co_code.hex(), code.co_names, code.co_freevars, tuple(constants)

    def _cell(self, cell: types.CellType) -> Any:
        try:
            return self.write(cell.cell_contents)
        except ValueError:  # of a name that has no value yet
            return "empty"

    def _builtin(self, function: types.BuiltinFunctionType) -> Any:
        return "built in", function.__name__, self.write(function.__self__)

    def _method(self, method: types.MethodType) -> Any:
        return "method", self.write(method.__func__), self.write(method.__self__)

    def _partial(self, partial: functools.partial[Any]) -> Any:
        parts = partial.func, partial.args, partial.keywords
        return "partial", tuple(map(self.write, parts))

    def _wrapped(self, wrapped: staticmethod[Any, Any] | classmethod[Any, Any, Any]) -> Any:
        return type(wrapped).__name__, self.write(wrapped.__func__)

    def _property(self, own: property) -> Any:
        return "property", tuple(map(self.write, (own.fget, own.fset, own.fdel)))

    def _class(self, cls: type) -> Any:
        if not cls.__flags__ & _HEAP or _is_importable(cls):
            return "class", cls.__module__, cls.__qualname__
        parts = sorted((name, v) for name, v in vars(cls).items() if name not in _LEFT_OUT)
        return (
            "class", cls.__qualname__, tuple(map(self.write, cls.__bases__)),
            tuple((name, self.write(value)) for name, value in parts),
        )  # fmt: skip

    def _descriptor(self, descriptor: Any) -> Any:
        return "descriptor", descriptor.__name__

    # --- other values -------------------------------------------------------------------------

    def _tensor(self, tensor: Tensor) -> Any:
        if tensor.device.type == "meta" or tensor.layout is not torch.strided:
            raise _OpaqueError
        numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        return self._numbers("tensor", tensor.dtype, tensor.shape, numbers.numpy())

    def _array(self, array: np.ndarray[Any, Any]) -> Any:
        if array.dtype.hasobject:
            raise _OpaqueError
        return self._numbers("array", array.dtype, array.shape, array)

    @staticmethod
    def _numbers(kind: str, dtype: object, shape: Iterable[int], numbers: Any) -> Any:
        digest = hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
        return kind, str(dtype), tuple(shape), digest

    def _mapping(self, values: Mapping[Any, Any]) -> Any:
        pairs = [(self.write(key), self.write(value)) for key, value in values.items()]
        return type(values).__qualname__, tuple(pairs)

    def _list(self, values: Iterable[Any]) -> Any:
        return type(values).__qualname__, tuple(map(self.write, values))

    def _set(self, values: Iterable[Any]) -> Any:
        return type(values).__qualname__, tuple(sorted(map(repr, map(self.write, values))))

    def _enum(self, value: Enum) -> Any:
        return "enum", type(value).__qualname__, value.name

    def _python_module(self, module: types.ModuleType) -> Any:
        return "import", module.__name__

    def _reference(self, reference: weakref.ref[Any]) -> Any:
        return "reference", self.write(reference())

    def _object(self, value: Any) -> Any:
        """Any other object: its attributes, and what pickle would keep of it. That raises where
        there is more to it than both."""
        function, arguments, *rest = value.__reduce_ex__(2)
        items = [list(part) if isinstance(part, Iterator) else part for part in rest]
        parts = (function, arguments, items, getattr(value, "__dict__", None))
        return "object", self.write(type(value)), tuple(map(self.write, parts))


def _is_importable(made: Any) -> bool:
    """Whether a class or function is the one that its module has under its name: the same one
    whichever network has it."""
    target: Any = sys.modules.get(made.__module__)
    for name in made.__qualname__.split("."):
        target = getattr(target, name, None)
    return target is made


_WRITERS: tuple[tuple[Any, Callable[[_Writer, Any], Any]], ...] = (
    (nn.Module, _Writer._module),
    (Tensor, _Writer._tensor),
    (Enum, _Writer._enum),
    (dict, _Writer._mapping),
    ((list, deque), _Writer._list),
    ((set, frozenset), _Writer._set),
    (types.FunctionType, _Writer._function),
    (types.BuiltinFunctionType, _Writer._builtin),
    (types.MethodType, _Writer._method),
    (functools.partial, _Writer._partial),
    ((staticmethod, classmethod), _Writer._wrapped),
    (property, _Writer._property),
    (type, _Writer._class),
    (_DESCRIPTORS, _Writer._descriptor),
    (np.ndarray, _Writer._array),
    (types.ModuleType, _Writer._python_module),
    (weakref.ref, _Writer._reference),
)
