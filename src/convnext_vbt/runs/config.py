"""The strategy file: one TOML document, one frozen `Config`.

Every section is the dataclass of the stage that it steers; the few that only the pipeline reads
are defined here. Errors are one line each: section, key, value, remedy.
"""

from __future__ import annotations

import difflib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from convnext_vbt.errors import ConfigError
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.settings import (
    OWN,
    ModelConfig,
    TrainingConfig,
    describes_network,
)
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.market.clock import zone_of
from convnext_vbt.predictions import Target
from convnext_vbt.runs import instrument_tables
from convnext_vbt.runs.toml_text import override_value, read_document, refuse_escaped
from convnext_vbt.storage import sha256_json
from convnext_vbt.trading.expectation import Exit
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument, Instruments
from convnext_vbt.trading.rules import RuleConfig, Threshold
from convnext_vbt.trading.sweep import SweepConfig

logger = logging.getLogger("convnext_vbt")

LATER_KEYS: dict[str, dict[str, Any]] = {
    "data": {"timezone": None, "stamp": None, "detail": None},
    "features": {"mirror": False},
    "labels": {"file": None},
    "splits": {"kind": "walk_forward", "groups": 6, "held_out": 2},
    "model": {"prior": "none", "file": None, "input": "last", "window": 64, "primary": None},
    "rule": {"min_edge": None, "full_edge": None, "exit": "bracket"},
    "trading": {
        "trail": "none",
        "break_even": None,
        "take_profit_ladder": [],
        "leave_at": None,
        "limit_offset": None,
        "limit_bars": 1,
    },
    "sweep": {"min_edge": None},
}
"""Keys that came after 0.1.0, with the value that stands for what there was before them.

The config.toml of a run that lacks them means these, whatever is the default by now, and a strategy
that has them so keeps the hash that it had."""

OWN_CODE = (
    ("features", "file"), ("labels", "file"), ("model", "file"), ("model", "primary"),
    ("rule", "file"),
)  # fmt: skip
"""Keys that name a function of the user's own."""

NONE = "none"
MOST_VALUES = 10_000
LARGEST = 10**15
"""No key needs a larger number, and up to it every whole number is a float."""


def _none_in_words(value: Any) -> Any:
    return None if value == NONE else value


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSection:
    """`[data]`: where the bars come from."""

    source: str | tuple[str, ...] = "simulated"
    """A path from the working directory, "simulated", "simulated:seed=7,edge=0" or "sp500"; a list
    of them is a panel, traded on one account."""
    timezone: str | tuple[str, ...] | None = None
    """The clock of a file's times that have no offset: "America/New_York", "UTC", "+03:00"; one for
    all sources or one each, "" where the file says it."""
    stamp: Literal["open", "close"] | tuple[Literal["open", "close", ""], ...] | None = None
    """Whether a file's times are when bars open or when they close; likewise."""
    start: str | None = None
    """First bar used, a UTC date or time; everything if absent."""
    end: str | None = None
    """First bar no longer used."""
    detail: str | tuple[str, ...] | None = None
    """Finer bars of the same symbols, named as `source` is and on the same clock: within a bar they
    tell what came first."""

    def __post_init__(self) -> None:
        zones = (self.timezone,) if isinstance(self.timezone, str) else self.timezone or ()
        for zone in filter(None, zones):
            zone_of(zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesSection:
    """`[features]`: what the network sees."""

    names: tuple[str, ...] | None = None
    """Built-in features to use; all of them if absent."""
    file: str | None = None
    """The user's own function, "mine.py:function" (Bars -> Features), its path from the working
    directory."""
    extend: bool = True
    """Whether the user's features join the built-in ones or replace them."""
    mirror: bool = True
    """Whether the direction is learned from mirrored bars (1 / price) too; see `models.head`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSection(Target):
    """`[labels]`: what is learned to foresee."""

    file: str | None = None
    """The user's own function, "mine.py:label" (Bars -> classes and the bars by which they are
    known), likewise; `horizon` is then the most bars until one is known."""

    @property
    def target(self) -> Target | None:
        """What the probabilities speak of; None of a user's own labels, which only he knows."""
        if self.file is not None:
            return None
        return Target(**{field.name: getattr(self, field.name) for field in fields(Target)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSection(RuleConfig):
    """`[rule]`: the strategy's own cell of the sweep, or the user's own rule.

    Its defaults are what did best on simulated markets: half of the bars may be traded, but only
    where a trade is worth its costs, and a position is held while its edge lasts.
    """

    threshold: Threshold = "q0.50"
    min_edge: Annotated[float | None, BeforeValidator(_none_in_words)] = 0.5
    """"none" in a file, which knows no None."""
    full_edge: Annotated[float | None, BeforeValidator(_none_in_words)] = 2.5
    """Likewise."""
    exit: Exit = "edge"
    file: str | None = None
    """The user's own function, "mine.py:function" (Predictions, Bars -> Signals), likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSection:
    """`[selection]`: the no-hindsight choice of a rule, split by split."""

    initial: float | str | None = None
    """Threshold traded until there are two earlier test ranges; if absent, the rule's own."""


class Config(BaseModel):
    """A whole strategy: the resolved TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = "strategy"
    seed: Annotated[int, Field(ge=0)] = 0
    evidence: Literal["fast", "full"] = "fast"
    """"full" adds boosting and the nulls that retrain: about twenty times the work of a run."""
    data: DataSection = DataSection()
    features: FeaturesSection = FeaturesSection()
    labels: LabelsSection = LabelsSection()
    splits: WalkForward = WalkForward()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    rule: RuleSection = RuleSection()
    trading: SimulationConfig = SimulationConfig()
    sweep: SweepConfig = SweepConfig()
    selection: SelectionSection = SelectionSection()
    instruments: dict[str, Instrument] = {}
    """What each symbol is; handed to `trading`, which is where it acts."""

    @model_validator(mode="after")
    def _instruments_are_of_trading(self) -> Self:
        """One table in both places, whichever it was given in."""
        own, theirs = Instruments(self.instruments), self.trading.instruments
        if own and theirs and own != theirs:
            raise ConfigError("instruments differ from those of trading; give them once")
        object.__setattr__(self, "trading", replace(self.trading, instruments=own or theirs))
        object.__setattr__(self, "instruments", dict(own or theirs))
        return self

    @field_serializer("trading")
    def _without_instruments(self, trading: SimulationConfig) -> dict[str, Any]:
        names = (field.name for field in fields(trading))
        return {name: getattr(trading, name) for name in names if name != "instruments"}

    @field_validator("labels", mode="before")
    @classmethod
    def _of_a_target(cls, given: Any) -> Any:
        """A plain target is labels without a file."""
        return LabelsSection(**asdict(given)) if type(given) is Target else given

    @field_validator("model")
    @classmethod
    def _known_kind(cls, model: ModelConfig) -> ModelConfig:
        kind_of(model.kind)
        return model

    def to_toml(self) -> str:
        """The resolved configuration as TOML text; keys that are None by default are left out."""
        shape = self.model_dump(mode="json")
        for key in ("min_edge", "full_edge"):
            if shape["rule"][key] is None:
                shape["rule"][key] = NONE
        shape["instruments"] = instrument_tables.written(self.instruments)
        return tomli_w.dumps(_without_none(shape))

    @property
    def preset(self) -> Preset:
        """What the strategy fixes before any result is seen; a user's own rule has no threshold."""
        initial = self.selection.initial
        if initial is None and self.rule.file is None:
            initial = self.rule.threshold
        return Preset(initial=initial, risk=self.trading.risk, seed=self.seed)

    def hashed(self) -> dict[str, Any]:
        """What the hash is of: all keys, the later ones only where they say something new."""
        shape: dict[str, Any] = self.model_dump(mode="json")
        for section, keys in LATER_KEYS.items():
            for key, before in keys.items():
                if shape[section][key] == before:
                    del shape[section][key]
        shape["instruments"] = instrument_tables.hashed(self.instruments)
        if not self.instruments:  # there were none before
            del shape["instruments"]
        return shape

    @property
    def sha256(self) -> str:
        """Hash of the resolved configuration."""
        return sha256_json(self.hashed())

    @property
    def id8(self) -> str:
        """Eight hex digits that name this configuration."""
        return self.sha256[:8]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a strategy file; `overrides` are "section.key=value", values as TOML or plain text.

    A run's own config.toml, beside its manifest, is read as `load_written` reads it. A file that
    describes a network of its own and says nothing of `model.prior` means "none" by it.

    Raises `ConfigError` naming file, section, key, value and remedy.
    """
    path = Path(path)
    document = read_document(path)
    if path.name == "config.toml" and (path.parent / "manifest.json").is_file():
        document = _as_written(document)
    document.setdefault("name", path.stem)
    for override in overrides:
        _apply(document, override)
    config = parse_config(document, origin=str(path))
    if (
        config.model.kind == ModelConfig().kind
        and "prior" not in document.get("model", {})
        and describes_network(config.model, config.training)
    ):
        logger.warning(
            '%s: it describes a network of its own, so model.prior is "%s"; say so', path, NONE
        )
        own = document.get("model", {}) | {"prior": NONE}
        config = parse_config(document | {"model": own}, origin=str(path))
    for key in ("valid", "calibration"):
        if getattr(config.splits, key) is not None:
            logger.warning(
                "%s: splits.%s cuts nothing any longer, nothing is held back; delete it", path, key
            )
    return config


def load_written(path: Path) -> Config:
    """Read the config.toml of a run, of whatever version; see `LATER_KEYS`.

    Raises `ConfigError` as `load_config` does.
    """
    return parse_config(_as_written(read_document(path)), origin=str(path))


def _as_written(document: dict[str, Any]) -> dict[str, Any]:
    """A run's own document with what there was before each of the `LATER_KEYS` that it lacks."""
    given = {section: document.get(section, {}) for section in LATER_KEYS}
    tables = {section: keys for section, keys in given.items() if isinstance(keys, dict)}
    return document | {section: LATER_KEYS[section] | keys for section, keys in tables.items()}


def parse_config(document: dict[str, Any], *, origin: str = "config") -> Config:
    """Validate a document of sections; `origin` opens every error message."""
    _refuse_two_models(document, origin)
    try:
        _refuse_odd_numbers(document, origin)
        refuse_escaped(document, origin)
        text = json.dumps(_with_defaults(document, origin))
    except TypeError as error:  # TOML has dates, JSON has not
        raise ConfigError(f"{origin}: {error}; write dates in quotes") from None
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deeply") from None
    try:
        config = Config.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(fault, origin) for fault in _distinct(error))
        ) from None
    plain = config.name == Path(config.name).name and config.name.isprintable()
    if not plain or config.name.startswith(".") or not 0 < len(config.name.encode()) <= 100:
        raise ConfigError(
            f"{origin}: name {config.name[:40]!r} must be a plain folder name of at most 100 "
            "bytes that does not begin with a dot"
        )
    return config


def _refuse_two_models(document: dict[str, Any], origin: str) -> None:
    """A file is a kind of its own, so that a kind beside it is another model."""
    given = document.get("model")
    if isinstance(given, dict) and given.get("file") and given.get("kind", OWN) != OWN:
        raise ConfigError(
            f'{origin}: [model] kind = "{given["kind"]}" and file = "{given["file"]}" are two '
            "models; delete one of them"
        )


def _with_defaults(document: dict[str, Any], origin: str) -> dict[str, Any]:
    """The document with [instruments.default] below each symbol's own table."""
    name = instrument_tables.SECTION
    trading = document.get("trading")
    if isinstance(trading, dict) and name in trading:
        raise ConfigError(
            f'{origin}: [trading] has no {name}; they are tables of their own, [{name}."BTC/USDT"]'
        )
    if name not in document:
        return document
    return document | {name: instrument_tables.over_default(document[name], origin)}


def parse_values(text: str, *, name: str) -> list[float | str]:
    """A command line's list: "0.40:0.80:0.05" (both ends included) or "q0.80,q0.90,0.5"."""
    if ":" not in text:
        return [_number_or_text(part.strip()) for part in text.split(",") if part.strip()]
    try:
        first, last, step = (float(part) for part in text.split(":"))
        count = round((last - first) / step)
        if not 0 <= count < MOST_VALUES:
            raise ValueError
    except (ValueError, ArithmeticError):
        raise ConfigError(
            f"--{name.replace('_', '-')} {text!r}: write first:last:step, e.g. 0.40:0.80:0.05 "
            f"(at most {MOST_VALUES:,} steps)"
        ) from None
    return [round(first + i * step, 10) for i in range(count + 1)]


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _apply(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f'--set {override!r}: write it as section.key=value, e.g. "seed=1"')
    value = override_value(text, f"--set {key.strip()}")
    section = document
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {part!r} is a value, not a section")
    section[parts[-1]] = value


def _refuse_odd_numbers(value: Any, origin: str, path: str = "") -> None:
    """Numbers that are infinite, none at all, or beyond all use."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{origin}: {_plain(path)} is {value}; give a finite number")
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise ConfigError(
            f"{origin}: {_plain(path)} is a number beyond {LARGEST:.0e}; give a smaller one"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_odd_numbers(item, origin, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            _refuse_odd_numbers(item, origin, path)


def _plain(path: str) -> str:
    """A key on one line, whatever it is made of."""
    return path.lstrip(".").encode("unicode_escape").decode()[:80]


def _distinct(error: ValidationError) -> list[Any]:
    """One fault a key: a union of types reports each of its members."""
    faults: dict[tuple[Any, ...], Any] = {}
    for fault in error.errors(include_url=False):
        depth = 3 if fault["loc"][:1] == (instrument_tables.SECTION,) else 2
        faults.setdefault(fault["loc"][:depth], fault)
    return list(faults.values())


def _explain(fault: Any, origin: str) -> str:
    location = [str(part) for part in fault["loc"]]
    section = location[0] if len(location) > 1 else ""
    heading = f"[{location[0]}]"
    if section == instrument_tables.SECTION:
        heading = instrument_tables.table_name(location[1])
        location = location[1:]
    where = f"{origin}: {heading}" if section else f"{origin}:"
    key = location[min(1, len(location) - 1)]
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys_of(section)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f'Did you mean "{close[0]}"?' if close else f"Known keys: {', '.join(known)}."
        kind = "key" if section or not isinstance(fault["input"], dict) else "section"
        return f"{where} unknown {kind} {json.dumps(key, ensure_ascii=False)[:60]}. {hint}"
    if fault["type"] == "value_error":
        return f"{origin}: {heading} {fault['ctx']['error']}"
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{where} {key} = {shown}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _keys_of(section: str) -> list[str]:
    if not section:
        return list(Config.model_fields)
    if section == instrument_tables.SECTION:
        return list(instrument_tables.KEYS)
    owner = Config.model_fields[section].annotation if section in Config.model_fields else None
    return [field.name for field in fields(owner)] if is_dataclass(owner) else []


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
