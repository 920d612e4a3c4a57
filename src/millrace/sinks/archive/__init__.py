"""The writers of the archive: a folder or HDFS, as many files or one. Imports as `sinks` does."""
