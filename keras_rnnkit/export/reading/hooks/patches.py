"""Changes to Keras' classes that one thread sees, under one lock, and no other thread does.

Each change is a descriptor on the class: it answers with the changed method or value in the thread that made it, and
with what was there before in all others. Nothing is written on a layer.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

LOCK = threading.RLock()
"""Held while anything is patched, so that exports run one after the other: tf2onnx has global state as well."""

SUSPENDED = threading.local()


class PatchedMethod:
    """A method of a class that is `replacement(original, self, ...)` in this thread."""

    def __init__(self, cls: type, name: str, replacement: Callable):
        self.cls, self.name = cls, name
        self.owner = threading.get_ident()
        self.before = inspect.getattr_static(cls, name)
        original = getattr(cls, name)  # as this thread sees it, earlier patches included

        @functools.wraps(original)
        def method(layer, *args, **kwargs):
            return replacement(original, layer, *args, **kwargs)

        self.method: Any = method

    def __get__(self, instance, cls=None):
        here = threading.get_ident() == self.owner and not getattr(SUSPENDED, "depth", 0)
        return (self.method if here else self.before).__get__(instance, cls)


class PatchedAttribute:
    """An attribute of a class's instances that reads as `view(instance, value)` in this thread."""

    def __init__(self, cls: type, name: str, view: Callable[[Any, Any], Any]):
        self.cls, self.name, self.view = cls, name, view
        self.owner = threading.get_ident()
        self.before = inspect.getattr_static(cls, name, None)

    def __get__(self, instance, cls=None):
        if instance is None:
            return self.before
        value = self.value(instance, cls)
        return self.view(instance, value) if threading.get_ident() == self.owner else value

    def value(self, instance, cls):
        if isinstance(self.before, PatchedAttribute):
            return self.before.__get__(instance, cls)
        if self.name in vars(instance):
            return vars(instance)[self.name]
        raise AttributeError(f"{type(instance).__name__!r} object has no attribute {self.name!r}")

    def __set__(self, instance, value):
        vars(instance)[self.name] = value

    def __delete__(self, instance):
        vars(instance).pop(self.name)


Patch = PatchedMethod | PatchedAttribute


@contextlib.contextmanager
def patched(patches: Callable[[], Iterator[Patch]]) -> Iterator[None]:
    """Inside, this thread sees the patches; they are made under the lock, each on top of those before it."""
    with LOCK, contextlib.ExitStack() as undo:
        for patch in patches():
            undo.callback(restore, patch, vars(patch.cls).get(patch.name))
            setattr(patch.cls, patch.name, patch)
        yield


def restore(patch: Patch, before: Any) -> None:
    """Put back what the class itself had; nothing where it inherits."""
    if before is None:
        delattr(patch.cls, patch.name)
    else:
        setattr(patch.cls, patch.name, before)


@contextlib.contextmanager
def original_methods() -> Iterator[None]:
    """Inside, this thread as well sees the methods of Keras as they are; attributes keep their views."""
    SUSPENDED.depth = getattr(SUSPENDED, "depth", 0) + 1
    try:
        yield
    finally:
        SUSPENDED.depth -= 1
