"""Files are whole or absent."""

import json
import os

import pytest

from dreamenv.foundation.files import TEMPORARY_PREFIX, remove_partial, sha256, write_bytes, write_json


def _fail(*args, **kwargs):
    raise OSError("No space left on device")


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_write_bytes_makes_the_folder_and_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"

    write_bytes(path, b"content")

    assert path.read_bytes() == b"content"


def test_write_bytes_leaves_nothing_beside_the_file(tmp_path):
    write_bytes(tmp_path / "file.bin", b"content")

    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_written_files_are_readable_by_others(tmp_path):
    write_bytes(tmp_path / "file.bin", b"content")

    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("failure", [_fail, _interrupt])
def test_a_failed_write_keeps_the_old_content(tmp_path, monkeypatch, call, failure):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, call, failure)

    with pytest.raises((OSError, KeyboardInterrupt)):
        write_bytes(path, b"new")

    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("failure", [_fail, _interrupt])
def test_a_failed_write_leaves_no_temporary_file(tmp_path, monkeypatch, call, failure):
    monkeypatch.setattr(os, call, failure)

    with pytest.raises((OSError, KeyboardInterrupt)):
        write_bytes(tmp_path / "file.bin", b"new")

    assert list(tmp_path.iterdir()) == []


def test_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), replace(*names)))

    write_bytes(tmp_path / "file.bin", b"content")

    assert calls == ["fsync", "replace", "fsync"]


def test_write_json_round_trips(tmp_path):
    value = {"a": [1, 2.5, None], "b": "text"}

    write_json(tmp_path / "file.json", value)

    assert json.loads((tmp_path / "file.json").read_text()) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_write_json_refuses_what_json_cannot_say(tmp_path, value):
    path = tmp_path / "file.json"
    write_json(path, {"x": 1.0})

    with pytest.raises(ValueError):
        write_json(path, {"x": value})

    assert json.loads(path.read_text()) == {"x": 1.0}


def test_remove_partial_deletes_leftovers_only(tmp_path):
    (tmp_path / (TEMPORARY_PREFIX + "abc")).write_bytes(b"half")
    (tmp_path / "file.bin").write_bytes(b"whole")

    remove_partial(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")

    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
