"""A strategy file's text: from bytes to a document, and what Windows makes of both.

In double quotes TOML takes a backslash for the beginning of an escape: "C:\\bars\\test.csv" holds a
backspace and a tab, and "C:\\Users" is no TOML at all. Both are errors with line and remedy.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

from convnext_vbt.errors import ConfigError

MOST_BYTES = 1_000_000

_IN_DOUBLE_QUOTES = re.compile(r'"(?:[^"\\]|\\.)*"')
_WITH_A_BACKSLASH = re.compile(r'"([^"]*\\[^"]*)')
_ESCAPED = "\b\t\n\f\r"
"""What a backslash and one letter stand for; no value of a strategy needs any of it."""


def read_document(path: Path) -> dict[str, Any]:
    """The sections of a strategy file. Raises `ConfigError` naming file, line and remedy."""
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # a number of thousands of digits is no TOMLDecodeError
        _refuse_backslash(text, error, str(path))
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    refuse_escaped(document, str(path), text)
    return document


def override_value(text: str, origin: str) -> Any:
    """The value behind --set KEY=: TOML where it is that, else plain text, such as a path."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:
        if text.lstrip()[:1] in ('"', "["):
            _refuse_backslash(text, error, origin)
        return text
    refuse_escaped(value, origin, text)
    # No key takes a TOML date; those that take one take its text.
    return text if isinstance(value, (date, time)) else value


def refuse_escaped(document: Any, origin: str, text: str = "") -> None:
    """Refuse a tab, a backspace or the like in any value of a document; `text` is its TOML."""
    values = [document]
    for value in values:  # which grows
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list | tuple):
            values.extend(value)
        elif isinstance(value, str) and any(character in value for character in _ESCAPED):
            number, written = _where_written(value, text)
            _refuse(_at(origin, number, text), written)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such strategy file; `convnext-vbt init` writes one to start from"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a strategy file: {error}") from None
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{path} is larger than {MOST_BYTES:,} bytes; is it a strategy file?")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(
            f"{path} cannot be read as a strategy file: it is UTF-16, as PowerShell's > and "
            "Out-File write it; save it as UTF-8 (Out-File -Encoding utf8)"
        )
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read as a strategy file: {error}") from None


def _refuse_backslash(text: str, error: Exception, origin: str) -> None:
    """Raise where the line that is no TOML has a backslash in double quotes."""
    lines = text.split("\n")
    said = re.search(r"at line (\d+)", str(error))
    number = int(said[1]) if said else len(lines)  # "at end of document"
    found = _WITH_A_BACKSLASH.search(lines[min(number, len(lines)) - 1])
    if found is not None:
        _refuse(_at(origin, number, text), found[1])


def _where_written(value: str, text: str) -> tuple[int | None, str]:
    """The line on which a value stands in double quotes, and what is written between them."""
    for number, line in enumerate(text.split("\n"), start=1):
        for written in _IN_DOUBLE_QUOTES.findall(line):
            try:
                same = tomllib.loads(f"value = {written}")["value"] == value
            except tomllib.TOMLDecodeError:
                continue
            if same:
                return number, written[1:-1]
    return None, value.encode("unicode_escape").decode()


def _at(origin: str, number: int | None, text: str) -> str:
    return origin if number is None or "\n" not in text else f"{origin}: line {number}"


def _refuse(where: str, written: str) -> None:
    shown = "".join(character if character.isprintable() else "?" for character in written)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    raise ConfigError(
        f'{where}: "{shown}": in double quotes a backslash begins an escape (\\b is a backspace, '
        f"\\t a tab, \\U a character's number); write '{shown}' in single quotes, or / or \\\\ for "
        "each \\"
    )
