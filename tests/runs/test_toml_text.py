"""Strategy files as Windows, its editors and its shell write them."""

import pytest

from convnext_vbt.errors import ConfigError
from convnext_vbt.runs.config import load_config, parse_config

CAUSE = "in double quotes a backslash begins an escape"


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (r'source = "C:\bars\test.csv"', r"C:\bars\test.csv"),  # read: a backspace and a tab
        (r'source = "D:\new.csv"', r"D:\new.csv"),
        (r'source = "D:\for\reading.csv"', r"D:\for\reading.csv"),
        (r'source = "C:\Users\Ann\x.csv"', r"C:\Users\Ann\x.csv"),  # no TOML
        (r'source = "C:\data\x.csv" # a "comment"', r"C:\data\x.csv"),
        (r'source = ["a.csv", "C:\bars\b.csv"]', r"C:\bars\b.csv"),
        (r'source = ["a.csv", "C:\data\b.csv"]', r"C:\data\b.csv"),
        (r'source = "\\server\share\x.csv"', r"\\server\share\x.csv"),
        ('source = "C:\\bars\\"', "C:\\bars\\"),  # the end is never found
        (r'source = """C:\bars\x.csv"""', "C:\\"),
    ],
)
def test_a_backslash_in_double_quotes_is_told_with_its_line_and_the_remedies(tmp_path, line, shown):
    for end in ("\r\nstart = '2022-01-01'\r\n", ""):
        with pytest.raises(ConfigError) as caught:
            load_config(written(tmp_path, f"seed = 1\r\n[data]\r\n{line}{end}"))
        told = str(caught.value)
        assert told.isprintable()
        assert told.startswith(f"{tmp_path}/mine.toml: ")
        assert f'"{shown}' in told
        assert CAUSE in told
        assert f"'{shown}" in told
        assert "in single quotes, or / or \\\\ for each \\" in told
        assert ': line 3: "' in told or '"""' in line


@pytest.mark.parametrize(
    "source", [r"'C:\bars\test.csv'", '"C:/bars/test.csv"', r'"C:\\bars\\test.csv"']
)
def test_every_remedy_names_the_same_file(tmp_path, source):
    config = load_config(written(tmp_path, f"[data]\nsource = {source}"))
    assert config.data.source.replace("/", "\\") == r"C:\bars\test.csv"
    again = load_config(written(tmp_path, config.to_toml()))
    assert again.data.source == config.data.source


def test_other_faults_near_a_backslash_are_told_as_they_are(tmp_path):
    text = "[features]\nfile = 'C:\\bars\\mine.py:f'\nextend = tru"
    with pytest.raises(ConfigError, match=r"not valid TOML: Invalid value \(at line 3"):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize("key", ["data.source", "features.file", "rule.file"])
def test_set_takes_a_windows_path_as_it_is(tmp_path, key):
    section, name = key.split(".")
    path = written(tmp_path, "")
    for text in (r"C:\bars\test.csv", r"'C:\bars\test.csv'", r'"C:\\bars\\test.csv"'):
        config = load_config(path, [f"{key}={text}"])
        assert getattr(getattr(config, section), name) == r"C:\bars\test.csv"
    for text in (r'"C:\bars\test.csv"', r'"C:\Users\test.csv"', r'["a", "C:\Users\test.csv"]'):
        with pytest.raises(ConfigError, match=CAUSE) as caught:
            load_config(path, [f"{key}={text}"])
        assert str(caught.value).startswith(f'--set {key}: "C:\\')


def test_a_control_character_from_python_is_told_too():
    with pytest.raises(ConfigError, match=CAUSE) as caught:
        parse_config({"data": {"source": "C:\bars\test.csv"}})
    assert r'"C:\x08ars\test.csv"' in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_read_over(tmp_path, end):
    text = f"seed = 3{end}[data]{end}source = 'größe.csv'{end}"
    config = load_config(written(tmp_path, text, "utf-8-sig"))
    assert (config.seed, config.data.source) == (3, "größe.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_told_with_its_remedy(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    with pytest.raises(ConfigError, match=r"mine\.toml cannot be read .* save it as UTF-8"):
        load_config(written(tmp_path, f"{mark}seed = 3", encoding))
