import pytest

from convnext_vbt.errors import UserCodeError
from convnext_vbt.user_code import load_function


def module(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def test_the_named_function_is_loaded_and_called(tmp_path):
    path = module(tmp_path, "def double(x):\n    return 2 * x\n")
    assert load_function(f"{path}:double")(21) == 42


@pytest.mark.parametrize("reference", ["mine.py", "mine.txt:f", "mine.py:", "mine.py:a b"])
def test_a_malformed_reference_is_refused(reference):
    with pytest.raises(UserCodeError, match=r"path/to/file\.py:function"):
        load_function(reference)


def test_a_missing_file_or_function_is_named(tmp_path):
    with pytest.raises(UserCodeError, match="no such file"):
        load_function(f"{tmp_path}/none.py:f")
    path = module(tmp_path, "def rule():\n    pass\n")
    with pytest.raises(UserCodeError, match="has no function 'rul'; it has rule"):
        load_function(f"{path}:rul")


def test_the_users_own_mistake_is_told_with_its_line(tmp_path):
    path = module(tmp_path, "def f(x):\n    y = x\n    return y / 0\n")
    with pytest.raises(UserCodeError, match=r"mine.py:f raised ZeroDivisionError.*\(line 3\)"):
        load_function(f"{path}:f")(1)


def test_a_librarys_paragraph_becomes_one_line(tmp_path):
    path = module(tmp_path, "def f():\n    raise ValueError('one\\n\\n  two')\n")
    with pytest.raises(UserCodeError, match=r"f raised ValueError: one two \(line 2\)$"):
        load_function(f"{path}:f")()


@pytest.mark.parametrize("text", ["def f(:\n", "import nothing_of_that_name\n", "1 / 0\n"])
def test_a_file_that_does_not_load_is_told(tmp_path, text):
    with pytest.raises(UserCodeError, match=r"mine\.py raised .* \(line 1\)"):
        load_function(f"{module(tmp_path, text)}:f")


def test_code_that_exits_is_reported_and_ends_nothing(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def leave(bars):\n    raise SystemExit(0)\n")
    with pytest.raises(UserCodeError, match=r"mine.py:leave raised SystemExit: 0 \(line 2\)"):
        load_function(f"{path}:leave")(None)
