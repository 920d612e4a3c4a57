import pytest

from millrace.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5s", 5), ("0s", 0), ("1.5m", 90), ("10 minutes", 600), ("1h 30m", 5400), ("2 Days", 172_800), ("1 min", 60)],
)
def test_seconds(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 parsecs", "5mm", "-1m", "5m or so", "month"])
def test_no_duration(text):
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)
