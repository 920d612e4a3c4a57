"""What guards a checkpoint: its lock, its topics, what they retain. Imports as `spark` does."""
