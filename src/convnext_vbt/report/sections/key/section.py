"""Key figures: headline, selected cell, strategy file, buy-and-hold, cash and random sides."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from convnext_vbt.evidence.gathering import CASH
from convnext_vbt.evidence.selection import How
from convnext_vbt.report.formats import (
    FIGURES,
    OPTIONAL_FIGURES,
    figure_text,
    figure_texts,
    quote_currency,
)
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.series import GROSS_FIGURES

HEADLINE_RULES: dict[How, str] = {
    "nested": "The headline’s rules were chosen walk-forward",
    "initial": "The headline traded the initial rule throughout",
    "fixed": "The headline is one fixed rule, chosen by you",
}
HEADLINE_NOTES: dict[How, str] = {
    "nested": "rules chosen walk-forward",
    "initial": "the initial rule",
    "fixed": "one fixed rule, chosen by you",
}


def content(inputs: Inputs, _: Pool) -> Content:
    """The table; the script puts in the selected cell's column and gross figures."""
    evidence, selection = inputs.evidence, inputs.assessment.headline.selection
    columns = {
        "headline": evidence.headline_figures,
        "hold": evidence.holdings[_first_symbol(inputs)].figures,
        "random": evidence.random_figures,
    }
    return Content(
        context={
            "key_rows": key_rows(
                evidence.table,
                start=evidence.cells.start,
                fixed=evidence.cells.fixed,
                columns=columns,
            ),
            "start_name": inputs.start_name,
            "fixed_name": inputs.fixed_name,
            "headline_rules": HEADLINE_RULES[selection.how],
            "headline_note": HEADLINE_NOTES[selection.how],
            "num_symbols": len(evidence.headline.symbols),
            "quote": quote_currency(inputs.result.bars.symbols),
        },
        data={
            "gross_figures": GROSS_FIGURES,
            "hold_figures": [figure_texts(one.figures) for one in evidence.holdings],
        },
    )


KEY = Section(name="key", title="Key figures", content=content)


def _first_symbol(inputs: Inputs) -> int:
    grid = inputs.grid
    return int(grid.positions[inputs.evidence.cells.start][grid.names.index("symbol")])


def key_rows(
    cells: pd.DataFrame,
    *,
    start: int,
    fixed: int | None,
    columns: Mapping[str, Mapping[str, float]],
) -> list[dict[str, str]]:
    """One row a key figure: headline, selected cell, the strategy file's, and `columns`.

    `cells` is `sweep_table.table`; `columns` has the figures of headline, hold and random by name.
    """
    shown = {"selected": start} | ({} if fixed is None else {"fixed": fixed})
    own = {name: dict(cells.iloc[row].astype(float)) for name, row in shown.items()}
    head = columns["headline"]
    return [
        {
            "name": figure.name,
            "label": figure.label,
            "help": figure.help,
            "headline": figure_text(head, figure, trades=head["trades"]),
            **{
                name: figure_text(values, figure, trades=values["trades"])
                for name, values in own.items()
            },
            "hold": figure_text(columns["hold"], figure),
            "cash": figure_text(CASH, figure),
            "random": figure_text(columns["random"], figure),
        }
        for figure in FIGURES
        if figure.name not in OPTIONAL_FIGURES or figure.name in head
    ]
