"""Whatever stands in a strategy file or behind --set, only our own one-line errors come out."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.errors import ConfigError
from convnext_vbt.runs.config import Config, load_config, parse_config, parse_values
from tests.examples import examples

KEYS = {
    section: sorted(values) if isinstance(values, dict) else []
    for section, values in Config().model_dump().items()
}
PAIRS = [(section, key) for section, keys in KEYS.items() for key in keys or [""]]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2, 10**18, 10**400, -(10**400), 2**63, 2**31]),
    st.floats(),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0]),
    st.text(max_size=20),
    st.sampled_from(["q0.90", "q2", "q", "365D", "-1D", "1e99999D", "../x", "\x00", "a\nb"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
ANY = examples(150)


def told(error, start):
    """Every line of an error begins with what it is about."""
    assert all(line.startswith(start) for line in str(error).split("\n")), str(error)


def usable_or_told(document):
    """A Config that goes through its own text unchanged, or an error of ours in few lines."""
    try:
        config = parse_config(document, origin="mine.toml")
    except ConfigError as error:
        told(error, "mine.toml: ")
        return
    assert json.loads(json.dumps(config.model_dump(mode="json"))) is not None
    assert len(config.id8) == 8
    assert config.to_toml()


@ANY
@given(st.dictionaries(st.sampled_from(PAIRS), VALUES, max_size=3))
def test_any_value_at_any_key_is_used_or_told(changes):
    document = {}
    for (section, key), value in changes.items():
        if key and isinstance(document.get(section, {}), dict):
            document.setdefault(section, {})[key] = value
        else:
            document[section] = value
    usable_or_told(document)


@ANY
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_any_document_is_used_or_told(document):
    usable_or_told(document)


@ANY
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("any") / "mine.toml"
    path.write_bytes(raw)
    try:
        assert load_config(path).name
    except ConfigError as error:
        told(error, str(path))


@ANY
@given(st.text(alphabet=string.printable, max_size=30))
def test_any_override_is_used_or_told(text):
    for override in (text, f"seed={text}", f"sweep.risk={text}", f"splits.{text}=1"):
        try:
            document = {}
            from convnext_vbt.runs.config import _apply

            _apply(document, override)
            parse_config(document)
        except ConfigError:
            pass


@ANY
@given(st.text(alphabet="0123456789.:,-einfaq ", max_size=25))
def test_any_list_of_values_is_read_or_told(text):
    try:
        assert len(parse_values(text, name="risk")) <= 10_000
    except ConfigError as error:
        told(error, "--risk")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = " + "1" * 5_000, "not valid TOML"),
        ("seed = 1" + "0" * 400, r"seed is a number beyond 1e\+15"),
        ("[labels]\nhalflife = 1e308", r"labels.halflife is a number beyond 1e\+15"),
        ("seed = -1", r"seed = -1"),
        ("x = " + "[" * 5_000, "nested too deeply|not valid TOML"),
        ("a." * 3_000 + "a = 1", "nested too deeply|unknown"),
        ("# " + "x" * 1_000_001, "is larger than 1,000,000 bytes"),
        ("seed = 1\nseed = 2", "not valid TOML"),
        ("[data]\n[data]", "not valid TOML"),
        ("name = '..'", "must be a plain folder name"),
        ('name = "a\\u0007b"', "must be a plain folder name"),
        (f"name = '{'ü' * 60}'", "at most 100 bytes"),
        ("[trading]\nrisk = 2.0", r"\[trading\] risk must lie in"),
        ("[sweep]\nrisk = [[0.1]]", r"\[sweep\] risk"),
    ],
)
def test_a_hostile_strategy_is_one_line(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_bytes_without_end_and_folders_are_no_strategy(tmp_path):
    with pytest.raises(ConfigError, match="is larger than 1,000,000 bytes"):
        load_config("/dev/zero")
    with pytest.raises(ConfigError, match="cannot be read as a strategy file"):
        load_config(tmp_path)


def test_a_range_of_a_billion_values_is_refused_before_it_is_made():
    for text in ("0:1:1e-9", "0:inf:1", "nan:1:1", "0:1:0", "1:0:0.1"):
        with pytest.raises(ConfigError, match=r"--risk .* write first:last:step"):
            parse_values(text, name="risk")
