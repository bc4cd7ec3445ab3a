"""One file, one stage: parents' artefacts -> an artefact. No stage imports another."""
