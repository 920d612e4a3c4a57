"""What the demo draws of tweets: windows, hashtags, texts, and numbers that are known, with their age."""

from datetime import datetime

import pytest
from rich.console import Console

from millrace.demo.views import tweets as panels
from millrace.demo.views.store import Documents
from tests import documents

START = "2026-11-28T12:00:00.000Z"


@pytest.fixture
def there():
    return []


@pytest.fixture
def store(there, tmp_path):
    def find(count, since):
        later = [each for each in there if each["window_start"] >= since]
        return sorted(later, key=lambda each: each["window_start"], reverse=True)[:count]

    return Documents(tmp_path / "cases.json", find)


def shown(store, rows=6):
    console = Console(width=104, force_terminal=False)
    with console.capture() as captured:
        console.print(panels.render(store, START, "test", "not yet", rows))
    return captured.get()


def test_before_anything_is_there_it_says_what_it_waits_for(store, there):
    there.append(documents.window(-1))
    assert "not yet" in shown(store) and "Spark is starting" in shown(store)
    assert not panels.counted(store, START)
    assert list(panels.lines(store, START)) == []


def test_windows_hashtags_texts_and_numbers(store, there):
    there += [documents.window(0, 1_200, content=["old\x1b[2J"]), documents.window(1, 600)]
    there[1]["content"] = ["first", "a \u202e text " + "long " * 40]
    there[1]["hashtags"] = [{"hashtag": tag, "tweets": 9} for tag in ("a\x1b[2Jb", "two", "three", "four")]
    store.run_file.write_text('{"batch_id": 1, "batch_seconds": 1, "late_rows": 0, "bad_records": 0, "records": 7}')
    lines = shown(store).splitlines()
    assert max(map(len, lines)) <= 104 and "\x1b" not in "".join(lines)
    newest, older = (next(line.split() for line in lines if f" {start} " in line) for start in ("12:00:20", "12:00:00"))
    assert newest[1:5] == ["12:00:20", "12:00:40", "600", "█" * 9]
    assert newest[5:-1] == [r"#a\x1b[2Jb", "9", "#two", "9", "#three", "9"]
    assert older[3:5] == ["1,200", "█" * 18]
    texts = [line.split(maxsplit=1)[1] for line in lines if "text " in line or "first" in line or "old" in line][:3]
    assert texts[0].startswith(r"a \u202e text long") and "…" in texts[0]
    assert [text.split()[0] for text in texts[1:]] == ["first", r"old\x1b[2J"]
    assert next(line.split()[1:-1] for line in lines if "in all" in line) == [
        *["in", "all", "1,000,000", "1,000,001", "1,000,002"]
    ]
    assert next(line.split()[1:-1] for line in lines if "critical" in line) == ["critical", "-"]
    assert "as of 2024-04-13, 959 days old, https://www.worldometers.info/coronavirus/" in "\n".join(lines)
    assert "tweets/s" in lines[-1]


def test_the_final_table(store, there):
    there += [documents.window(0, 30), documents.window(1, 12), documents.window(-1, 900)]
    assert list(panels.lines(store, START)) == [
        ("windows", "2"),
        ("tweets", "42"),
        ("#cat", "4"),
        ("#猫", "2"),
        ("cases: World", "1,000,000, as of 2024-04-13, 959 days old, https://www.worldometers.info/coronavirus/"),
    ]


def test_a_moment_is_one_of_utc(store, there):
    there.append(documents.window(0))
    assert store.newest(1, "2026-11-28T13:00:00+01:00") == there
    assert datetime.fromisoformat(START) == there[0]["window_start"]
