"""profiler=auto: a fixed rule, applied when the run is planned, said aloud and written into the resolved config."""
