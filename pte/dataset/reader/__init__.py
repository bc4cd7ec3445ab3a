"""Files of any shape -> tables of texts and times: bytes, delimited text, records, moments, plain text of markup."""
