"""The guide is run: its files are written, its commands called, its Python executed, in order."""

import re
import shlex
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from convnext_vbt.runs.config import Config, parse_config
from convnext_vbt.trading.instruments import Instrument
from tests.cli.test_commands import call

DOCS = Path(__file__).parent.parent / "docs"
IN_ORDER = ["from-csv-to-verdict.md", "own-code.md", "own-model.md", "leakage.md", "sizing.md",
            "judge.md"]  # fmt: skip
BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<kind>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    file: str | None
    note: str
    line: int


def blocks(name):
    source = (DOCS / name).read_text(encoding="utf-8")
    return [
        Block(
            kind=found["kind"],
            text=found["text"],
            file=found["file"],
            note=found["note"] or "",
            line=source[: found.start("text")].count("\n"),
        )
        for found in BLOCK.finditer(source)
    ]


def follow(name, *, slow):
    """Do what a page says, in the working directory; the slow parts only when asked."""
    names = {"__name__": "guide"}
    for block in blocks(name):
        if block.note.startswith("slow") and not slow:
            continue
        if block.file is not None:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            code = "\n" * block.line + block.text  # so that a traceback names the line of the page
            exec(compile(code, str(DOCS / name), "exec"), names)  # noqa: S102
        elif block.kind == "sh":
            for line in block.text.splitlines():
                run(line, expected=5 if "exits 5" in block.note else 0)


def run(line, *, expected):
    program, *words = shlex.split(line, comments=True)
    assert program == "convnext-vbt", line
    words = [path for word in words for path in sorted(map(str, Path().glob(word))) or [word]]
    jobs = ["--jobs", "1"] if words[0] in ("run", "audit") and "--dry-run" not in words else []
    result = call(*words, *jobs)
    assert result.exit_code == expected, (line, result.output)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("docs")


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_page_of_the_guide_does_what_it_says(home, monkeypatch, name):
    monkeypatch.chdir(home)
    follow(name, slow=False)


@pytest.mark.slow
def test_the_slow_parts_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in IN_ORDER:
        follow(name, slow=True)


def test_every_link_and_picture_of_the_guide_is_there():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[\w-]+)?\)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_the_tables_of_instruments_are_those_of_a_strategy():
    for block in blocks("instruments.md"):
        if block.kind == "toml":
            config = parse_config(tomllib.loads(block.text))
            assert config != Config()
    text = (DOCS / "instruments.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+?) \|", text, re.MULTILINE))
    defaults = {field.name: field.default for field in fields(Instrument)}
    assert list(shown) == list(defaults)
    for name, default in defaults.items():
        if default is None:
            assert shown[name].startswith(("none", "`")), name
        else:
            assert shown[name] == ("false" if default is False else f"{default:g}"), name


def test_every_block_is_of_a_known_kind():
    pages = [path.name for path in DOCS.glob("*.md")]
    kinds = {block.kind for name in pages for block in blocks(name)}
    assert kinds <= {"python", "sh", "toml", "text"}
    runnable = {name for name in pages for block in blocks(name) if block.kind in ("python", "sh")}
    assert runnable == set(IN_ORDER)
