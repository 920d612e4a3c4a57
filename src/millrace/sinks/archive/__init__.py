"""Writers of the archive: a folder or HDFS, many files or one. Imports what `sinks` may import."""
