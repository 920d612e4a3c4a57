"""What Streamlit runs for each reader: `page.py STORE HOME`."""

import sys

from millrace.view.pages import main

main(*sys.argv[1:3])
