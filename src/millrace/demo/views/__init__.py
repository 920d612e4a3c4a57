"""Draw the demo's pipelines in a terminal, one file per pipeline. May import `logs` alone."""
