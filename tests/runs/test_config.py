import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from convnext_vbt.errors import ConfigError
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.learning.models.prior_file import FOLDER, load_prior
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import (
    LATER_KEYS,
    Config,
    load_config,
    load_written,
    parse_config,
    parse_values,
)
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.user_code import load_function

ROOT = Path(__file__).parents[2]


def strategy(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_strategy_is_valid(path):
    assert load_config(path).name == path.stem


def test_the_commented_template_states_the_defaults():
    template = ROOT / "src/convnext_vbt/runs/strategy.toml"
    assert load_config(template) == Config()


def test_a_later_key_changes_the_hash_only_where_it_says_something_new(tmp_path):
    plain = load_config(strategy(tmp_path, ""))
    same = load_config(strategy(tmp_path, '[rule]\nexit = "edge"\n'))
    assert plain.sha256 == same.sha256
    for change in ("rule.exit=bracket", "rule.min_edge=0", "sweep.min_edge=[0.0]"):
        assert load_config(strategy(tmp_path, ""), [change]).sha256 != plain.sha256


def test_a_run_that_lacks_a_later_key_was_made_without_it(tmp_path, monkeypatch):
    path = strategy(tmp_path, 'name = "old"\n')
    monkeypatch.setitem(LATER_KEYS["rule"], "min_edge", 3.0)  # were that what there was before
    assert (load_written(path).rule.exit, load_written(path).rule.min_edge) == ("bracket", 3.0)
    assert (load_config(path).rule.exit, load_config(path).rule.min_edge) == ("edge", 0.5)


OLD = """
name = "old"
[training]
steps = 12
[rule]
threshold = "q0.50"
"""


def test_a_runs_own_file_means_what_it_meant(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(OLD)
    assert load_config(path) != load_written(path)
    (tmp_path / "manifest.json").write_text("{}")
    assert load_config(path) == load_written(path)
    assert load_config(path, ["rule.min_edge=2.0"]).rule.min_edge == 2.0
    path.write_text("rule = 3")
    with pytest.raises(ConfigError, match="rule = 3"):
        load_config(path)


@pytest.mark.parametrize(
    "text",
    ["[training]\nsteps = 5", "[model]\ndepths = [1, 1]\ndims = [8, 8]", "[model]\npool = 2"],
)
def test_who_describes_a_network_of_ones_own_gets_it_and_is_told(tmp_path, text, caplog):
    path = strategy(tmp_path, text)
    config = load_config(path)
    assert config.model.prior == "none"
    assert 'describes a network of its own, so model.prior is "none"' in caplog.text
    caplog.clear()
    assert load_config(path, ['model.prior="none"']) == config
    load_config(path, ["model.kind=logistic"])  # which has no prior
    assert load_config(path, ['model.prior="simulated"']).model.prior == "simulated"
    assert load_config(strategy(tmp_path, "[model]\nkernel_size = 7")).model.prior == "simulated"
    assert not caplog.text


def test_no_least_edge_reads_back_as_none(tmp_path):
    config = load_config(strategy(tmp_path, '[rule]\nmin_edge = "none"'))
    assert config.rule.min_edge is None
    again = load_config(strategy(tmp_path, config.to_toml()))
    assert (again, again.sha256) == (config, config.sha256)


NOT_SHOWN = {
    ("model", "version"),  # one value only, so no choice to show
    ("splits", "valid"),  # for files of before: they cut nothing any longer
    ("splits", "calibration"),
}


def test_the_template_names_every_key():
    text = (ROOT / "src/convnext_vbt/runs/strategy.toml").read_text()
    for section, values in Config().model_dump().items():
        for key in values if isinstance(values, dict) else ():
            if (section, key) in NOT_SHOWN:
                continue
            assert f"\n{key} = " in text or f"\n# {key} = " in text, (section, key)


def test_a_resolved_strategy_reads_back_as_itself(tmp_path):
    config = load_config(ROOT / "strategies/btc_hourly.toml", ["splits.train=5000", "seed=7"])
    again = load_config(strategy(tmp_path, config.to_toml()))
    assert again == config
    assert again.id8 == config.id8


INSTRUMENTS = """
[instruments.default]
taker = 0.001
tick = 0.1
currency = "USDT"
[instruments."BTC/USDT"]
taker = "none"
currency = "none"
lot = 0.01
[instruments.ETH]
tick = 0.5
"""


def test_a_symbols_own_keys_go_over_the_default_ones(tmp_path):
    config = load_config(strategy(tmp_path, INSTRUMENTS))
    assert config.trading.instruments == config.instruments
    assert config.instruments == {
        "default": Instrument(taker=0.001, tick=0.1, currency="USDT"),
        "BTC/USDT": Instrument(tick=0.1, lot=0.01),
        "ETH": Instrument(taker=0.001, tick=0.5, currency="USDT"),
    }
    for text in (config.to_toml(), INSTRUMENTS.replace("[instruments.ETH]", "[instruments.'ETH']")):
        again = load_config(strategy(tmp_path, text))
        assert (again, again.sha256) == (config, config.sha256)
    document = config.model_dump(mode="json")
    assert "instruments" not in document["trading"]
    assert parse_config(document) == config


@pytest.mark.parametrize(
    "change",
    [
        "instruments.default.taker=0.002",
        "instruments.ETH.maker=-0.0001",
        "instruments.ETH.currency=USDT",
        "trading.trail=close",
        "trading.break_even=1.0",
        "trading.take_profit_ladder=[[1.0, 0.5]]",
        "trading.leave_at=15:55",
        "trading.limit_offset=0.001",
    ],
)
def test_what_an_account_may_do_changes_the_hash(tmp_path, change):
    config = load_config(strategy(tmp_path, ""))
    other = load_config(strategy(tmp_path, ""), [change])
    assert other.sha256 != config.sha256
    assert load_config(strategy(tmp_path, other.to_toml())) == other


def test_a_strategy_without_later_keys_keeps_its_hash():
    assert Config().sha256[:16] == "ee8005a504ff7b57"
    assert Config(trading=SimulationConfig(trail="none")).sha256 == Config().sha256


def test_instruments_are_the_same_in_both_places():
    table = {"A": Instrument(lot=1.0)}
    given = Config(trading=SimulationConfig(instruments=table))
    assert given == Config(instruments=table)
    assert given.instruments == given.trading.instruments == table
    with pytest.raises(ValueError, match="instruments differ from those of trading"):
        Config(trading=SimulationConfig(instruments=table), instruments={"B": Instrument()})


def test_the_template_names_every_key_of_an_instrument():
    text = (ROOT / "src/convnext_vbt/runs/strategy.toml").read_text()
    section = text.partition("# [instruments.default]")[2].partition("[sweep]")[0]
    lines = [line.removeprefix("# ") for line in section.splitlines()[1:]]
    shown = tomllib.loads("\n".join(lines))
    assert set(shown) == {field.name for field in fields(Instrument)}
    Instrument(**shown)


def test_the_name_defaults_to_the_files(tmp_path):
    assert load_config(strategy(tmp_path, "")).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[splits]\nemabrgo = 3", r'\[splits\] unknown key "emabrgo". Did you mean "embargo"\?'),
        ("[spilts]\ntest = 3", r'unknown section "spilts". Did you mean "splits"\?'),
        ("sede = 3", r'unknown key "sede". Did you mean "seed"\?'),
        (
            "[model]\nzzz = 3",
            r"unknown key \"zzz\". Known keys: kind, file, input, window",
        ),
        ("[training]\nlr = 'fast'", r"\[training\] lr = 'fast': input should be a valid number"),
        ("[training]\nlr = nan", r"training.lr is nan; give a finite number"),
        ("[training]\nlr = -1.0", r"\[training\] training.lr must be positive, got -1.0"),
        ("[rule]\nshort = 1", r"\[rule\] short = 1: input should be a valid boolean"),
        ("[sweep]\nrisk = []", r"\[sweep\] risk needs at least one value"),
        ("[sweep]\nrisk = [0.1, 0.1]", r"risk needs at least one value and no value twice"),
        ("[sweep]\nrisk = [2.0]", r"\[sweep\] risk must lie in \(0, 1\], got 2.0"),
        ("[sweep]\nstop_multiple = [0.0]", r"stop_multiple must be positive and finite, got 0"),
        ("[labels]\nhorizon = 0", r"horizon must be at least 1 bar, got 0"),
        ("[labels]\nkind = 'magic'", r"\[labels\] kind = 'magic'"),
        ("seed = 1\nseed = 2", r"not valid TOML"),
        ("splits = 3", r"splits = 3"),
        ("name = '../evil'", r"must be a plain folder name"),
        ("[data]\nstart = 2021-01-01", r"write dates in quotes"),
        ("[trading.instruments.A]\ntick = 1", r"\[trading\] has no instruments; .* of their own"),
        (
            "[instruments]\ntick = 1\nlot = 2",
            r"\[instruments\] tick, lot: a key belongs to a symbol; ",
        ),
        ("[instruments.A]\ntikc = 1", r'\[instruments."A"\] unknown key "tikc". .* "tick"'),
        ("[instruments.default]\nlot = 0", r"\[instruments.default\] lot must be positive"),
        ("[instruments.A]\nlot = 'x'", r'\[instruments."A"\] lot = \'x\': input should be a'),
        ("[instruments]\nA = 3", r'\[instruments."A"\] A = 3: input should be'),
        ("instruments = 3", r"instruments = 3: input should be"),
        ("[instruments]\ndefault = 3", r"\[instruments.default\] default = 3: input"),
        ("[trading]\ntrail = 'low'", r"\[trading\] trail = 'low': input should be 'none'"),
    ],
)
def test_a_fault_is_one_line_that_names_it(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(strategy(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_two_faults_are_two_lines(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(strategy(tmp_path, "sede = 1\n[model]\npol = 1"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_strategy_file_says_how_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match="convnext-vbt init"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"[unclosed"])
def test_what_is_no_toml_is_refused(tmp_path, raw):
    path = tmp_path / "mine.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_config(path)


def test_overrides_are_toml_values_or_plain_text(tmp_path):
    path = strategy(tmp_path, "[splits]\ntrain = 10")
    config = load_config(
        path,
        [
            "splits.train=20",
            "data.start=2021-01-01",
            "data.source=a/b.csv",
            "sweep.risk=[0.01]",
            "rule.short=false",
        ],
    )
    assert config.splits.train == 20
    assert config.data.source == "a/b.csv"
    assert config.data.start == "2021-01-01"
    assert config.sweep.risk == (0.01,)
    assert config.rule.short is False


PATHS = (
    "data.source=b.csv",
    "features.file=m.py:f",
    "rule.file=m.py:f",
    "model.prior=p.st",
)


@pytest.mark.parametrize("how", ["in the file", "by --set", "in a run's own"])
def test_every_path_starts_at_the_working_directory(tmp_path, monkeypatch, how):
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("b.csv").write_text(
        "timestamp,open,high,low,close,volume\n2024-01-01T00:00,1,1,1,1,1\n2024-01-01T01:00,2,2,2,2,2\n"
    )
    Path("m.py").write_text("def f(*given):\n    return 7\n")
    shutil.copy(FOLDER / "simulated.safetensors", "p.st")
    pairs = [path.replace(".", " ", 1).replace("=", " ", 1).split() for path in PATHS]
    text = "".join(f"[{section}]\n{key} = '{value}'\n" for section, key, value in pairs)
    path = strategy(tmp_path / "elsewhere", text if how == "in the file" else "")
    config = load_config(path, PATHS if how == "by --set" else ())
    if how == "in a run's own":
        path.write_text(load_config(path, PATHS).to_toml())
        config = load_written(path)
    assert len(read_bars(config)) == 2
    assert load_function(config.features.file)() == load_function(config.rule.file)() == 7
    assert load_prior(config.model.prior).sha256 == load_prior("simulated").sha256


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=3", "seed.x=3"])
def test_a_malformed_override_is_refused(tmp_path, override):
    with pytest.raises(ConfigError, match="--set"):
        load_config(strategy(tmp_path, "seed = 1"), [override])


def test_parse_config_takes_a_plain_dict():
    assert parse_config({"splits": {"test": 100}}).splits.test == 100


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.40:0.50:0.05", [0.4, 0.45, 0.5]),
        ("q0.80,0.5", ["q0.80", 0.5]),
        ("0.01", [0.01]),
    ],
)
def test_lists_on_the_command_line(text, values):
    assert parse_values(text, name="threshold") == values


@pytest.mark.parametrize("text", ["0.4:0.5", "0.5:0.4:0.1", "a:b:c", "0.4:0.5:0"])
def test_a_malformed_range_is_refused(text):
    with pytest.raises(ConfigError, match="--threshold"):
        parse_values(text, name="threshold")


def test_what_is_fixed_beforehand_is_the_strategys_own():
    rule, trading = {"threshold": 0.6}, {"risk": 0.02}
    document = {"rule": rule, "trading": trading, "seed": 3}
    assert parse_config(document).preset == Preset(initial=0.6, risk=0.02, seed=3)
    chosen = parse_config(document | {"selection": {"initial": "q0.80"}})
    assert chosen.preset.initial == "q0.80"
    own = parse_config(document | {"rule": rule | {"file": "mine.py:rule"}})
    assert own.preset.initial is None
