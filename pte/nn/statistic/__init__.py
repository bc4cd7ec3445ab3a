"""What is computed from data without gradient steps: principal axes, nearest neighbours, a conditional logit."""
