from pathlib import Path

from millrace.stack import env_file


def test_lines_are_set_changed_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "servers.env"
    env_file.update(tmp_path, {"A": "1", "B": "x=y?z=1"})
    path.write_text(path.read_text() + "# a note\n")
    env_file.update(tmp_path, {"A": "2", "C": None})
    assert path.read_text().splitlines() == ["B=x=y?z=1", "# a note", "A=2"]
    env_file.update(tmp_path, {"A": None, "B": None})
    assert path.read_text() == "# a note\n"


def test_the_file_goes_with_its_last_line(tmp_path: Path) -> None:
    env_file.update(tmp_path, {"A": "1"})
    env_file.update(tmp_path, {"A": None})
    env_file.update(tmp_path, {"A": None})
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    (tmp_path / "servers.env").touch(0o644)
    env_file.update(tmp_path, {"A": "1"})
    assert (tmp_path / "servers.env").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["servers.env"]
