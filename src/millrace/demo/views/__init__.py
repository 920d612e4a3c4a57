"""What the demo draws in a terminal, one file a pipeline. May import the ground alone."""
