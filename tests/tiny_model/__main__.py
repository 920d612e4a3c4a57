"""Train the model where the cache lacks it: `python -m tests.tiny_model` (`make ollama`)."""

import sys

from millrace.errors import MillraceError
from millrace.logs import say
from tests import tiny_model

try:
    say(f"`ollama create {tiny_model.NAME} -f {tiny_model.modelfile()}` puts the model into a server that runs")
except MillraceError as error:
    sys.exit(f"millrace: {error}")
