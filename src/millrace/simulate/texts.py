"""Words of the simulated posts: sentences in many scripts, hashtags and the ways people spell them."""

import math
import unicodedata
from bisect import bisect_right
from itertools import accumulate, product

WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}  # ASCII to the full-width forms of East Asian keyboards
VOCABULARY_SIZE = 400

# No sentence holds a hashtag: "C#", "#1" and "#42" are none, for a hashtag is a `#` at the start of the text,
# or after white space, and then letters, digits and underscores, one non-digit at least.
SENTENCES = {
    "en": (
        "Good morning from the river, the fog lifts slowly ☕",
        "We are #1 in the league again and nobody saw it coming 🎉",
        "Reading about C# and Rust tonight; issue #42 is still open",
        "Anyone else watching the match? That was never a penalty 😅",
        "New blog post: how we moved 3 TB without downtime",
        "I can’t believe it’s not Friday yet",
        "The cat 🐈 has opinions about my keyboard & my coffee",
    ),
    "de": (
        "Schöne Grüße aus Köln, heute scheint endlich die Sonne ☀️",
        "Der Zug hat schon wieder 40 Minuten Verspätung, großartig.",
        "Süße Überraschung: die Bäckerei hat wieder geöffnet 🥐",
        "Wer kommt morgen mit zur Lesung?",
    ),
    "fr": (
        "Un café, un croissant, et ça repart 🥐",
        "L’été est arrivé à Montréal, enfin !",
        "Quel match incroyable hier soir…",
        "Où trouver du bon pain près de la gare ?",
    ),
    "pt": (
        "Bom dia, São Paulo! Hoje tem feijoada 🍲",
        "Não acredito que já é novembro",
        "O pôr do sol em Lisboa é outra coisa 🌇",
        "Amanhã começa a eleição, votem com atenção",
    ),
    "es": (
        "¿Quién más está despierto a estas horas? 🌙",
        "El niño soñó con un dragón de color añil",
        "Qué partidazo, señores",
    ),
    "ja": (
        "おはようございます！今日もいい天気ですね☀️",
        "新しいラーメン屋に行ってきた🍜 最高だった",
        "締め切りまであと３日、がんばります💪",
        "猫がキーボードの上で寝ている…",
    ),
    "ar": (
        "صباح الخير يا أصدقاء 🌹",
        "الجو جميل اليوم في القاهرة",
        "من يشاهد المباراة الليلة؟ ⚽",
    ),
    "ko": ("오늘 날씨가 정말 좋네요 🌸", "퇴근하고 치킨 먹으러 가자 🍗"),
    "zh": ("今天的晚霞真美 🌆", "终于把论文写完了！"),
    "ru": ("Доброе утро, за окном первый снег ❄️", "Кто-нибудь уже читал эту книгу?"),
    "hi": ("आज का दिन बहुत अच्छा है 🙏", "चाय और बारिश, बस यही चाहिए ☔"),
}
FEELINGS = {  # praise, and complaints
    "en": (
        (
            "What a wonderful concert, I love this band so much!",
            "Best soup of my life, and such friendly people. Thank you!",
            "So happy: the library is open again and it looks beautiful",
        ),
        (
            "Terrible service, we waited two hours for cold soup",
            "I hate this update, everything is slow and broken now",
            "Awful news from the harbour today, I am so sad",
        ),
    ),
    "de": (
        ("Ein wunderbarer Abend, ich bin so glücklich!",),
        ("Furchtbarer Service, nie wieder.",),
    ),
    "fr": (
        ("Un concert magnifique, merci à tous !",),
        ("Service horrible, je suis très déçue.",),
    ),
    "es": (
        ("Una película maravillosa, me encantó",),
        ("Qué comida tan horrible, no vuelvo más",),
    ),
    "ja": (
        ("この本は本当に素晴らしい！大好きです",),
        ("ひどい対応だった、もう二度と行かない",),
    ),
}
FELT = 112  # of 256 posts in such a language praise or complain
TIDE = 360.0  # seconds from praise to complaints and back
# Weights by repetition: about half the posts are English, as on the real network.
LANGUAGES = ("en",) * 16 + ("ja",) * 5 + ("de",) * 3 + ("pt",) * 3 + ("fr", "fr", "es", "ar", "ko", "zh", "ru", "hi")

# Where the hashtags stand: text before, between and after them; "{}" is the sentence.
LAYOUTS = (("{} ", " ", ""), ("{} ", ", ", "!"), ("{}\n\n", " ", " ✨"), ("", " ", " {}"), ("{} ", " ", "."))

_SEEDS = """
NowPlaying 日本 Art News رمضان Fußball Brasil BlueSky 猫 Photography AI Politics Сегодня Café
Eleição2026 イラスト caturday NFL PremierLeague 한국 Música Straßenbahn IndieDev Gaming アニメ मौसम
Ukraine GameDev WritingCommunity القاهرة Noël Booksky ClimateCrisis Formula1 ニュース भारत 足球 Köln
Python Tatort F1 São_Paulo Москва Ελλάδα ישראל BlackFriday World_Cup K_Pop Élection ラーメン Worldle
アート Grüße Türkiye Weihnachten Science Space NASA History Nature Birds Dogs Knitting Poetry Horror
Movies Film TV Anime Manga Cosplay Comics Fantasy SciFi DnD TTRPG Chess Running Cycling Hiking Baseball
Hockey Basketball Tennis Cricket Rugby Soccer Fitness Yoga Health Mental_Health Education Teaching
Academia PhDLife Economy Stocks Crypto Bitcoin OpenSource Linux Rust Golang JavaScript DataScience Kafka
Spark Postgres Cloud Security Privacy Travel Food Recipes Vegan Coffee Tea Wine Beer Gardening Flowers
Sunset Ocean Mountains Winter Summer Autumn Spring Monday Friday Weekend Vote Election2026 Democracy
Justice Housing Transit Trains Bikes Architecture Design Typography Fotografie Kunst Musik Bücher
Hörspiel Wetter Bahn Berlin München Österreich Züri Käse Brötchen Schnee Wahl Klimaschutz Actualité
Cinéma Théâtre Littérature Forêt Été Pâtisserie Montréal Genève Québec Société Météo Œuvre Français
Musée Notícias Futebol Lisboa Política Educação Saúde Coração Natureza Saudade Verão Feijão Amanhã
Canção Páscoa Pão Açaí España Fútbol Niños Año_Nuevo Canción México Perú Bogotá Corazón Poesía Película
Otoño 東京 大阪 京都 桜 温泉 写真 音楽 映画 読書 漫画 朝活 お弁当 ゲーム 野球 サッカー 秋の空 今日の空
おはよう データ 旅行 الأخبار مصر السعودية كرة_القدم شعر صباح_الخير فلسطين المغرب تونس علوم موسيقى سفر
قهوة 서울 부산 음악 영화 사진 여행 커피 고양이 날씨 야구 축구 책 北京 上海 香港 台灣 新闻 摄影 美食 旅游
电影 音乐 科技 诗歌 Россия Новости Музыка Книги Кино Наука Погода Весна Осень Зима Футбол Ёлка Поэзия
Київ Україна Новини Αθήνα Θεσσαλονίκη Μουσική Ποίηση Καλημέρα ירושלים חדשות מוזיקה שבת_שלום חיפה हिन्दी
क्रिकेट संगीत दिल्ली चाय समय Ankara Çay Şiir Müzik Güneş Việt_Nam Hà_Nội Phở Cà_phê ไทย กรุงเทพ อาหาร
Łódź Żubr Čeština Žižkov Győr Reykjavík Ørsted Åland ☕ 🐈 🏳️‍🌈 ⚽
"""


def _vocabulary() -> tuple[str, ...]:
    seeds = _SEEDS.split()
    latin = [word for word in seeds if word.isascii() and word.isalpha()]
    joined = (word + ending for ending, word in product(("2026", "_daily", "Art", "Club"), latin))
    return tuple(dict.fromkeys([*seeds, *joined]))[:VOCABULARY_SIZE]


def is_plain(tag: str) -> bool:
    """Say whether every parser finds `tag` in bare text: letters, digits, `_`; no accents apart, no emoji."""
    return all(char.isalnum() or char == "_" for char in tag)


def _spellings(tag: str) -> tuple[str, ...]:
    decomposed, wide = unicodedata.normalize("NFD", tag), tag.translate(WIDE)
    return tuple(
        dict.fromkeys([tag, tag.lower(), tag.upper(), tag.capitalize(), decomposed, wide, "#" + tag, "＃" + tag])
    )


VOCABULARY = _vocabulary()
SPELLINGS = tuple(_spellings(tag) for tag in VOCABULARY)  # as found in markup; one hashtag each
PLAIN = tuple(
    tuple(dict.fromkeys(word for word in (tag, tag.lower(), tag.upper(), tag.capitalize()) if is_plain(word)))
    for tag in VOCABULARY
)

_SHARES = list(accumulate(1 / (rank + 1) for rank in range(len(VOCABULARY))))


def sentence(language: str, draw: int, age: float) -> str:
    """Return a sentence of `language` for a 32-bit `draw`, in the mood of `age`, the seconds since the scenario began.

    Those who feel something praise at first, mostly; half a TIDE later they complain.
    """
    chosen, felt = SENTENCES[language], draw >> 24
    if language in FEELINGS and felt < FELT:
        praise, complaints = FEELINGS[language]
        chosen = praise if felt < FELT * (0.5 + 0.4 * math.cos(math.tau * age / TIDE)) else complaints
    return chosen[(draw >> 8) % len(chosen)]


def zipf(draw: int) -> int:
    """Return the number of a hashtag for a 32-bit `draw`: number k comes up in proportion to 1 / (k + 1)."""
    return bisect_right(_SHARES, draw / 2**32 * _SHARES[-1])
