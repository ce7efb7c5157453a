"""What a component in Python needs beside the contract: words for the log, and answers that fit.

A component has no files, no network, no clock but `ctx.now_ms`, and no stdout. Importing this module sends
prints to the log and makes an uncaught exception tell itself there, with file and line.
"""

import dataclasses
import enum
import functools
import json
import sys
import time

from componentize_py_types import Err
from wit_world.imports import log
from wit_world.imports.types import (
    CallContext,
    ComponentError_Internal,
    ComponentError_InvalidConfig,
    ComponentError_InvalidInput,
    ComponentError_Unavailable,
    ErrorDetail,
)

_TAGS = {
    "invalid-config": ComponentError_InvalidConfig,
    "invalid-input": ComponentError_InvalidInput,
    "unavailable": ComponentError_Unavailable,
    "internal": ComponentError_Internal,
}
_FRAMES_MAX = 10


def config_of(ctx: CallContext) -> dict:
    """The configuration of the binding. The host has checked it against the schema of `describe`."""
    return json.loads(ctx.config)


def problem(tag: str, code: str, text: str, path: str | None = None) -> Err:
    """To be raised: this component cannot answer. `tag` says who can mend it."""
    return Err(_TAGS[tag](ErrorDetail(code, path, text, None, [])))


def share(amount: int, ppm: int) -> int:
    """A share of an amount in parts per million; halves are rounded away from zero."""
    whole = (abs(amount) * ppm + 500_000) // 1_000_000
    return whole if amount >= 0 else -whole


def checked(component: type) -> type:
    """Class decorator: an answer with a float or a number beyond 64 bits is an error that names the field."""
    for name, function in list(vars(component).items()):
        if callable(function) and not name.startswith("_"):
            setattr(component, name, _with_check(function))
    return component


def _with_check(function):
    @functools.wraps(function)
    def call(*arguments):
        answer = function(*arguments)
        _check(answer, "result")
        return answer

    return call


def _check(value, path: str, wanted=None) -> None:
    if value is None or isinstance(value, (bool, str, bytes, enum.Enum)):
        if wanted is int and not isinstance(value, int):
            raise TypeError(f"{path} is {value!r}: a whole number is needed")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise OverflowError(f"{path} is {value}: it does not fit into 64 bits")
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _check(part, f"{path}[{index}]")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _check(getattr(value, field.name), f"{path}.{field.name}", field.type)
    else:
        raise TypeError(f"{path} is {value!r}: amounts are whole numbers of minor units")


class _Log:
    """A text file that is the log of the call."""

    def __init__(self, level: log.Level):
        self.level = level
        self.part = ""

    def write(self, text: str) -> int:
        *lines, self.part = (self.part + text).split("\n")
        for line in lines:
            log.log(self.level, line)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def _tell(kind: type, error: BaseException, trace) -> None:
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename.removeprefix("/0/")
        if file != "till_guest.py":
            places.append(f"    at {code.co_name} ({file}:{trace.tb_lineno})")
        trace = trace.tb_next
    log.log(log.Level.ERROR, "\n".join([f"{kind.__name__}: {error}", *places[: -_FRAMES_MAX - 1 : -1]]))


def _no_clock() -> float:
    raise RuntimeError("a component has no clock: use ctx.now_ms")


sys.stdout = _Log(log.Level.INFO)
sys.stderr = _Log(log.Level.ERROR)
sys.excepthook = _tell
time.time = _no_clock
