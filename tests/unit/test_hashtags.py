"""Which hashtags a text holds, by the rule of each provider: a table of cases, and the posts that are made of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.ingest.hashtags import on_bluesky, on_mastodon, written
from tests.unit import test_bluesky, test_mastodon

# text, on Bluesky, on Mastodon, where there is no rule
CASES: list[tuple[str, list[str], list[str], list[str]]] = [
    ("#️⃣ a keycap", [], [], []),
    ("#\u20e3 #\ufe0fx", [], ["\ufe0fx"], ["\ufe0fx"]),
    ("https://matrix.to/#room", [], [], []),
    ("https://matrix.to/#/#room:x.org", [], [], []),
    ("(https://x.y/a-#b)", [], [], []),
    ("x.org/a-#b matrix.to/#room", [], [], []),
    ("https://x.y/?q=#tag and x?q=#tag", [], [], []),
    ("https://x.y/#a,#b http://x.y/a.#c", [], [], []),
    ("&#x27; &#39; it&#x27;s", [], [], []),
    ("C# a#b a_#b #1 #2026 #٣", [], [], []),
    ("#a #b", ["a", "b"], ["a", "b"], ["a", "b"]),
    ("＃全角 \u3000#猫\n#c", ["全角", "猫", "c"], ["全角", "猫", "c"], ["全角", "猫", "c"]),
    ("#日本語、#x", ["日本語、#x"], ["日本語"], ["日本語", "x"]),
    ("(#d) [#e]", [], [], ["d", "e"]),
    ("#d) #e. #f?! #g's", ["d", "e", "f", "g's"], ["d", "e", "f", "g"], ["d", "e", "f", "g"]),
    ("#2026a #a2026 #1st", ["2026a", "a2026", "1st"], ["2026a", "a2026", "1st"], ["2026a", "a2026", "1st"]),
    ("#_ #a_b #1_2", ["a_b"], ["a_b", "1_2"], ["_", "a_b", "1_2"]),
    ("#a·b #·a #a·", ["a·b", "·a", "a"], ["a·b", "a"], ["a", "a"]),
    ("#ナイト・オブ #می\u200cشود", ["ナイト・オブ", "می"], ["ナイト・オブ", "می\u200cشود"], ["ナイト", "می"]),
    ("#a-b #C++ #R&D", ["a-b", "C++", "R&D"], ["a", "C", "R"], ["a", "C", "R"]),
    ("🎉#party #🎉 #🎉x", ["🎉", "🎉x"], [], ["party"]),
    ("##two ###three", ["#two", "##three"], [], ["two", "three"]),
    ("#हिन्दी! #cafe\u0301.", ["हिन्दी", "cafe\u0301"], ["हिन्दी", "cafe\u0301"], ["हिन्दी", "cafe\u0301"]),
    ("#" + "x" * 64 + " #" + "y" * 65, ["x" * 64], ["x" * 64, "y" * 65], ["x" * 64, "y" * 65]),
    ("#" + "🐈" * 33, [], [], []),
    ("# #! #… # a", [], [], []),
    ("", [], [], []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "bluesky", "mastodon", "others"), CASES, ids=[case[0][:20] for case in CASES])
def test_hashtags_in_text(text: str, bluesky: list[str], mastodon: list[str], others: list[str]) -> None:
    assert (on_bluesky(text), on_mastodon(text), written(text)) == (bluesky, mastodon, others)


@pytest.mark.parametrize(
    ("content", "hashtags"),
    [
        ("<p>so #Foo and &#35;Bär #1</p>", ["foo", "bär"]),
        ("<p>it&#x27;s &amp;#x27; #️⃣</p>", []),
        ('<a href="https://matrix.to/#room"><span class="invisible">https://</span>matrix.to/#room</a>', []),
        ('<a href="https://matrix.to/#room">#room:matrix.org</a> #x', ["x"]),
        ('<a href="https://x/tags/foo" class="mention hashtag" rel="tag">#<span>Foo</span></a>', ["foo"]),
        ('<a rel="nofollow tag" href="https://x/t/foo">#Foo</a><a href="https://x">y #z</a>', ["foo"]),
        ("<p>#one</p><p>#two<br>#three</p>", ["one", "two", "three"]),
    ],
)
def test_a_status_without_tags(content: str, hashtags: list[str]) -> None:
    [post] = test_mastodon.shown(test_mastodon.status(tags=[], content=content))
    assert post["hashtags"] == hashtags


def test_a_record_without_facets() -> None:
    made = test_bluesky.frame(commit__record={"text": "#️⃣ https://matrix.to/#room x?q=#tag &#x27; (#d) #yes."})
    assert json.loads(test_bluesky.event(made).value)["hashtags"] == ["yes"]


@given(st.text(st.sampled_from("#＃ab1_·・.:/?=&; \n🎉猫\ufe0f\u20e3\u200c\u0301")))
def test_a_providers_hashtags_begin_words(text: str) -> None:
    for found in (on_bluesky(text), on_mastodon(text)):
        assert all(any(f"{sign}{tag}" in word for word in text.split() for sign in "#＃") for tag in found)
        assert len(found) <= sum(word.startswith(("#", "＃")) for word in text.split())
