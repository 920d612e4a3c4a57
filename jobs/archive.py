"""Every record of a topic as it came, to MILLRACE_ARCHIVE_URL: a folder, or HDFS.

Gzipped JSON lines (or Parquet) in source=TOPIC/date=/hour=/batch_id=, by the time of the record, UTC. A start without
checkpoint goes on after the highest archived offset.

spark-submit --properties-file spark-conf/local.conf jobs/archive.py --topic Mastodon_stream
millrace run archive --source bluesky --format parquet --trigger 5m
"""

from millrace.applications.application import main
from millrace.applications.archive import ARCHIVE

if __name__ == "__main__":
    main(ARCHIVE, __doc__)
