"""What the stages hand to one another: frozen dataclasses of numpy arrays and texts, with their own save and load."""

from pte.schema.embeddings import Embeddings
from pte.schema.entities import FIRST, Entities
from pte.schema.error import InputError, first_line, of_kind, one_of, require, typed
from pte.schema.generations import Generation
from pte.schema.interactions import Interactions, Items
from pte.schema.knob import Resolved, Runtime
from pte.schema.profiles import IMPORTED, Profiles, ProfileWriter
from pte.schema.selection import Selection
from pte.schema.split import Cases, Split, View, training_view, view_of, visible_view

__all__ = [
    "FIRST", "IMPORTED", "Cases", "Embeddings", "Entities", "Generation", "InputError", "Interactions", "Items",
    "ProfileWriter", "Profiles", "Resolved", "Runtime", "Selection", "Split", "View", "first_line", "of_kind",
    "one_of", "require", "training_view", "typed", "view_of", "visible_view",
]  # fmt: skip
