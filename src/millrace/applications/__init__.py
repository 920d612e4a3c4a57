"""The jobs, wired: what each reads, which query, where its rows go. May import `spark` and all below it."""
