import pytest
from safetensors import SafetensorError

from workbench.models.cache import cached


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_is_written_once(root):
    written = []

    def write(folder):
        written.append(folder)
        (folder / "file").write_text("whole")

    assert cached("name", write) == cached("name", write) == root / "name"
    assert len(written) == 1
    assert [path.name for path in root.iterdir()] == ["name"], "nothing else is left"
    assert (root / "name" / "file").read_text() == "whole"


@pytest.mark.parametrize("error", [OSError("disk full"), SafetensorError("No space left"),
                                   KeyboardInterrupt()])  # fmt: skip
def test_what_is_half_written_does_not_count(root, error):
    def write(folder):
        (folder / "file").write_text("half")
        raise error

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OSError
    with pytest.raises(expected):
        cached("name", write)
    assert list(root.iterdir()) == []
    assert cached("name", lambda folder: None) == root / "name"


def test_another_process_may_be_first(root):
    def write(folder):
        (root / "name").mkdir()
        (root / "name" / "file").write_text("theirs")
        (folder / "file").write_text("ours")

    assert (cached("name", write) / "file").read_text() == "theirs"


def test_a_cache_that_cannot_be_written_is_an_os_error(tmp_path, monkeypatch):
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "a-file"))
    with pytest.raises(OSError):
        cached("name", lambda folder: None)
