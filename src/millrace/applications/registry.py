"""The table of jobs; a new job is a `Job`, a row here (or among the analyses), and its file in `jobs/`."""

from millrace.applications.analyses import ANALYSES
from millrace.applications.archive import ARCHIVE
from millrace.applications.candles import CANDLES
from millrace.applications.cases import CASES
from millrace.applications.cdc import CDC
from millrace.applications.job import Bundle, Job
from millrace.applications.mastodon import MASTODON
from millrace.applications.quarantine import QUARANTINE
from millrace.applications.sentiment import SENTIMENT
from millrace.applications.several import several

_BESIDE_OTHERS: dict[str, Job | Bundle] = {
    job.name: job for job in (*ANALYSES, CANDLES, CASES, CDC, SENTIMENT, QUARANTINE, ARCHIVE, MASTODON)
}
SEVERAL = several(_BESIDE_OTHERS)
JOBS = _BESIDE_OTHERS | {SEVERAL.name: SEVERAL}
