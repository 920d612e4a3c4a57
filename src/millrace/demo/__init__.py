"""`make demo`: pipelines, their processes and terminal views. A face: may import all but other faces' insides."""
