"""Settings as users give them, checked before they go to the native half.

What is wrong with a value in terms of the algorithms is told there; here, only what is wrong with its type.
"""

from __future__ import annotations

import numbers
import os
import re
from typing import Any, TypeAlias

#: A place in time: seconds, or text such as ``"1:30"``.
Time: TypeAlias = float | str

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def fail(what: str, hint: str, kind: type[Exception] = ValueError) -> Exception:
    """The exception for a wrong setting, worded as all of this package's."""
    return kind(f"{what}\n\nhint: {hint}")


def integer(name: str, value: Any, least: int = 0) -> int:
    """A whole number, not less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise fail(
            f"`{name}` is {value!r}, expected a whole number", f"give an int, as in {name}={max(least, 1)}", TypeError
        )
    if value < least:
        raise fail(f"`{name}` is {value}, expected at least {least}", f"use {name}={max(least, 1)} or more")
    return int(value)


def optional_integer(name: str, value: Any, least: int = 0) -> int | None:
    """A whole number or nothing."""
    return None if value is None else integer(name, value, least)


def real(name: str, value: Any) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise fail(f"`{name}` is {value!r}, expected a number", f"give a float, as in {name}=1.0", TypeError)
    return float(value)


def seconds(name: str, value: Any) -> float | None:
    """Seconds, of a number or of ``[h:]m:s``."""
    if value is None:
        return None
    if isinstance(value, str):
        match = _TIME.fullmatch(value.strip())
        if match is None:
            raise fail(f"`{name}` is {value!r}, expected seconds or [h:]m:s", f'use {name}=90 or {name}="1:30"')
        hours, minutes, rest = match.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(rest)
    return real(name, value)


def text(name: str, value: Any) -> str:
    """A word."""
    if not isinstance(value, str):
        raise fail(f"`{name}` is {value!r}, expected a word", f"give a str as {name}", TypeError)
    return value


def is_path(value: Any) -> bool:
    """Whether it names a file."""
    return isinstance(value, (str, os.PathLike))
