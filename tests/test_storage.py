import hashlib
import json
import os
import threading

import pytest

from convnext_vbt import storage


def test_text_bytes_and_json_are_written_and_replaced(tmp_path):
    path = tmp_path / "a.json"
    storage.write_text(path, "früher")
    assert path.read_text("utf-8") == "früher"
    storage.write_json(path, {"b": 1, "a": None})
    assert path.read_text() == '{\n  "a": null,\n  "b": 1\n}\n'
    storage.write_bytes(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_trace(tmp_path):
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def half(temporary):
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.write_with(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def slow(temporary):
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")

    storage.write_with(path, slow)
    assert path.read_text() == "new"


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_is_synced(tmp_path, monkeypatch):
    path, synced, real = tmp_path / "a.txt", [], os.fsync

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    storage.write_text(path, "new")  # the very file that was synced: renamed, not copied
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    path, barrier, names = tmp_path / "a.txt", threading.Barrier(2), set()

    def write(text):
        def fill(temporary):
            names.add(temporary.name)
            temporary.write_text(text)
            barrier.wait(5)  # both are being written

        storage.write_with(path, fill)

    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 2
    assert path.read_text() in ("one", "two")
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    storage.write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(path, {"sharpe": float("nan")})
    assert json.loads(path.read_text()) == 1


def test_hashes_are_sha256_of_bytes_and_of_canonical_json(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert storage.sha256_file(tmp_path / "a") == known
    assert storage.sha256_json({"b": [1.5], "a": "x"}) == storage.sha256_json(
        {"a": "x", "b": [1.5]}
    )
    assert storage.sha256_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.sha256_json(float("inf"))


def test_a_sealed_object_opens_only_as_it_was_written(tmp_path):
    path = tmp_path / "a.json"
    storage.write_sealed(path, {"a": 1, "b": [2.5, None]})
    sealed = json.loads(path.read_text())
    assert storage.open_seal(sealed) == {"a": 1, "b": [2.5, None]}
    changes = ({"a": 2}, {"b": [2.5, 0]}, {"c": 1}, {storage.DIGEST: "0" * 64}, {storage.DIGEST: 1})
    for change in changes:
        with pytest.raises(ValueError, match="do not match their digest"):
            storage.open_seal(sealed | change)
    del sealed["a"]
    with pytest.raises(ValueError, match="do not match their digest"):
        storage.open_seal(sealed)
