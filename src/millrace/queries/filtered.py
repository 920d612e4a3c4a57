"""Posts of chosen languages, with chosen words, by people or by bots."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import COLUMNS as POST

COLUMNS = tuple(name for name in POST if name != "raw")


def filtered(
    posts: DataFrame, languages: Sequence[str] = (), keywords: Sequence[str] = (), bots: bool | None = None
) -> DataFrame:
    """Keep new and edited posts that match all that is asked for.

    Input and output: post.v1 rows (COLUMNS). `languages`: any of them, "pt" also matches "pt-BR"; a post of unknown
    language matches none. `keywords`: any of them, anywhere in the text, whatever the case. `bots`: True only bots,
    False only those not known as bots, None both. Deletes and metrics carry nothing to match and are left out.
    """
    kept = posts.filter(F.col("operation").isin("create", "update"))
    for wanted in (_in_language(languages), _with_keyword(keywords), _by_bot(bots)):
        kept = kept if wanted is None else kept.filter(wanted)
    return kept.select(*COLUMNS)


def _in_language(languages: Sequence[str]) -> Column | None:
    written = F.translate(F.lower(F.trim("language")), "_", "-")
    tags = [tag.lower().replace("_", "-") for tag in languages]
    matches = [(written == F.lit(tag)) | F.startswith(written, F.lit(f"{tag}-")) for tag in tags]
    return reduce(or_, matches) if matches else None


def _with_keyword(keywords: Sequence[str]) -> Column | None:
    matches = [F.contains(F.lower("text"), F.lower(F.lit(keyword))) for keyword in keywords]
    return reduce(or_, matches) if matches else None


def _by_bot(bots: bool | None) -> Column | None:
    return None if bots is None else F.coalesce("author.bot", F.lit(False)) == F.lit(bots)
