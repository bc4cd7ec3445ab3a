"""The parts of backbone=fused beside its reader: likeness of texts, and the gates over all experts."""
