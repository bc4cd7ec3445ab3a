"""Tables -> Interactions: which rows and columns stay, the card that counts what was left out, metadata as text."""
