"""Numbers as files write them: decimal commas, thousands, currency signs, K and M; as float64."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.errors import InputError
from convnext_vbt.market.tables import MISSING, Findings, Table

NUMBER = r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$"
_SIGN = r"^[$€£¥₹]\s*|\s*[$€£¥₹]$"
_SPACED = r"^[-+]?\d{1,3}(?:[ '’\x{a0}\x{202f}]\d{3})+(?:[.,]\d*)?$"
_SPACE = r"[ '’\x{a0}\x{202f}]"
_SUFFIX = r"^(?P<number>[-+]?[\d.,]+)\s*(?P<suffix>[KkMmBb])$"
_POWERS = {"K": 1e3, "M": 1e6, "B": 1e9}
_COMMA_DECIMAL = r"^[-+]?(?:0|\d{4,}|\d{1,3}(?:\.\d{3})+),\d+$|^[-+]?\d+,(?:\d{1,2}|\d{4,})$"
_COMMA_EITHER = r"^[-+]?[1-9]\d{0,2},\d{3}$"
_COMMA_THOUSANDS = r"^[-+]?\d{1,3}(?:,\d{3})+\.\d*$|^[-+]?\d{1,3}(?:,\d{3}){2,}$"


def read_numbers(
    table: Table, columns: Mapping[str, int], findings: Findings
) -> dict[str, np.ndarray]:
    """Columns as float64, NaN where a cell is missing; one notation for all of the file.

    Raises `ValueError` naming the row of a cell that is no number, or whose comma may be a decimal
    comma as well as a thousands separator.
    """
    texts = {name: table.columns[place] for name, place in columns.items()}
    out: dict[str, np.ndarray] = {}
    odd: dict[str, int] = {}
    for name, column in texts.items():
        if not pa.types.is_string(column.type):
            out[name] = _typed(column, table.layout.names[columns[name]])
        elif (values := _plain(column)) is not None:
            out[name] = values
        else:
            odd[name] = columns[name]
    if odd:
        out |= _in_notation(table, columns, odd, findings)
    return {name: out[name] for name in columns}


def _typed(column: Any, name: str) -> np.ndarray:
    kind = column.type
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if pa.types.is_fixed_size_binary(kind):
        raise InputError(
            f"{name} holds binary numbers ({kind}), as a catalogue of Nautilus Trader has them; "
            "write them as numbers first: pd.DataFrame([Bar.to_dict(bar) for bar in "
            'catalog.bars()]).to_csv("bars.csv")'
        )
    if not any(is_kind(kind) for is_kind in known):
        raise InputError(f"{name} has type {kind}; write numbers")
    return _filled(pc.cast(column, pa.float64(), safe=False))


def _filled(column: Any) -> np.ndarray:
    """float64 with NaN where a value is missing; of a column without such ones its own memory."""
    values: np.ndarray = (pc.fill_null(column, np.nan) if column.null_count else column).to_numpy()
    return values


def _plain(column: Any) -> np.ndarray | None:
    """A column of texts with a decimal point, None where it is not."""
    missing = pc.is_in(column, pa.array(MISSING))
    filled = pc.if_else(missing, pa.scalar(None, pa.string()), column)
    try:
        return _filled(pc.cast(filled, pa.float64()))
    except pa.ArrowInvalid:
        return None


def _in_notation(
    table: Table, columns: Mapping[str, int], odd: Mapping[str, int], findings: Findings
) -> dict[str, np.ndarray]:
    """The columns that are not plain; the evidence on commas is taken from all of them."""
    spaced = _has_blanks(table, odd, findings)
    bare = {name: _bare(table.columns[place], spaced=spaced) for name, place in odd.items()}
    signs = sum(int(_matches(table.columns[place], _SIGN).sum()) for place in odd.values())
    findings.change(signs, "currency sign(s) beside numbers left out")
    texts = {name: text for name, (text, _) in bare.items()}
    decimal, thousands = _commas(table, columns, texts, findings)
    out = {}
    for name, place in odd.items():
        text, power = bare[name]
        if decimal:
            text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
        elif thousands:
            grouped = pa.array(_matches(text, r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$"))
            text = pc.if_else(grouped, pc.replace_substring(text, ",", ""), text)
        out[name] = _cast(table, place, text) * power
        if (power != 1).any():
            findings.reading.append(
                f"K, M or B after {table.layout.names[place]} are powers of ten"
            )
    return out


def _has_blanks(table: Table, odd: Mapping[str, int], findings: Findings) -> bool:
    """Whether there are blanks or apostrophes between thousands; then they must be everywhere."""
    if not any(_matches(table.columns[place], _SPACED).mean() >= 0.5 for place in odd.values()):
        return False
    findings.reading.append("blanks or apostrophes between thousands")
    for place in odd.values():
        without = _matches(table.columns[place], r"^[-+]?\d{4}")
        table.refuse(without, place, "has no blank between thousands, other rows have")
    return True


def _commas(
    table: Table, columns: Mapping[str, int], texts: Mapping[str, Any], findings: Findings
) -> tuple[bool, bool]:
    """Whether commas are decimal, and whether they stand between thousands; refused if unclear.

    `texts` are the columns that are not plain.
    """
    proofs = {
        kind: {name: _matches(text, pattern) for name, text in texts.items()}
        for kind, pattern in (
            ("decimal", _COMMA_DECIMAL), ("thousands", _COMMA_THOUSANDS), ("either", _COMMA_EITHER),
        )
    }  # fmt: skip
    found = {kind: any(mask.any() for mask in masks.values()) for kind, masks in proofs.items()}
    plain = [table.columns[place] for name, place in columns.items() if name not in texts]
    points = any(pa.types.is_string(c.type) and _matches(c, r"\.\d").any() for c in plain)
    decimal = found["decimal"]
    thousands = found["thousands"] or (points and not decimal and found["either"])
    if decimal and thousands:
        for name, mask in proofs["thousands"].items():
            table.refuse(
                mask, columns[name], "uses the comma for thousands, other rows for decimals"
            )
    if not decimal and not thousands:
        for name, mask in proofs["either"].items():
            table.refuse(
                mask,
                columns[name],
                "may be a decimal comma or a thousands separator",
                "write decimal points and no thousands separators",
            )
    if decimal:
        findings.reading.append("decimal commas")
        for name, place in columns.items():
            text = texts.get(name, table.columns[place])
            if pa.types.is_string(text.type):
                dots = _matches(text, r"^[-+]?\d*\.\d*$")
                table.refuse(dots, place, "has a decimal point, other rows a decimal comma")
    elif thousands:
        findings.reading.append("commas between thousands")
    return decimal, thousands


def _bare(column: Any, *, spaced: bool) -> tuple[Any, np.ndarray]:
    """Texts without currency signs, blanks between thousands and K, M or B; its power of ten.

    A blank between digits is one between thousands only where a column is full of them; elsewhere
    it is a sign of two numbers in one cell.
    """
    text = pc.replace_substring_regex(column, _SIGN, "")
    if spaced:
        grouped = pa.array(_matches(text, _SPACED))
        text = pc.if_else(grouped, pc.replace_substring_regex(text, _SPACE, ""), text)
    parts = pc.extract_regex(text, _SUFFIX)
    power = np.ones(len(column))
    if parts.null_count == len(parts):
        return text, power
    number, suffix = pc.struct_field(parts, 0), pc.utf8_upper(pc.struct_field(parts, 1))
    for letter, factor in _POWERS.items():
        power[pc.fill_null(pc.equal(suffix, letter), False).to_numpy(zero_copy_only=False)] = factor
    return pc.coalesce(number, text), power


def _cast(table: Table, place: int, text: Any) -> np.ndarray:
    missing = pc.is_in(text, pa.array(MISSING)).to_numpy(zero_copy_only=False)
    number = _matches(text, NUMBER) | missing
    original = table.columns[place]
    glued = ~number & _matches(original, r"^\s*[-+]?\d*\.\d+(?:\.\d+|\s+\d).*$")
    if glued.any() and not number[: glued.argmax()].all():
        glued[:] = False  # another fault comes first
    count = len(re.findall(r"\.", str(original[int(glued.argmax())]))) if glued.any() else 0
    table.refuse(
        glued,
        place,
        f"looks like {count} numbers glued together",
        "what was meant cannot be known; fetch the file again, or sum the parts at their source",
    )
    table.refuse(~number, place, "is not a number")
    values = _plain(text)
    assert values is not None
    return values


def _matches(column: Any, pattern: str) -> np.ndarray:
    mask: np.ndarray = pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)
    return mask
