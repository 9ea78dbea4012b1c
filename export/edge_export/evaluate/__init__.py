"""Labelled data, measures of accuracy and fidelity, and the judge that applies them."""
