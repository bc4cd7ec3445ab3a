"""Where the answers of language models are kept, so that none is paid for twice."""
