"""What a language model keeps of the tokens before: a row's own, and prefixes that rows share."""
