"""Texts before and after a language model: item text cleaned and quoted, completions read into profiles."""
