"""The parts of backbone=fused beside its reader: likeness, users' profiles, repeats, and the gates over all experts."""
