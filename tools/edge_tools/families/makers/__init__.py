"""Scripts that make models by their own exporters, and answers by their own code, in environments of their own.

They import nothing of Edgeline, and what they import is no dependency of it: each says what to install.
"""
