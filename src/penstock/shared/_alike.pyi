from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

def like(model: T, slots: int, /) -> Callable[[], T]: ...
