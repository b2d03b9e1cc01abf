"""One verb, one job: the rooms below put together, with a run folder, resume and progress."""
