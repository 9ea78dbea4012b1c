"""Cutting a graph into blocks: where, what each block needs, and how blocks are run one after another."""
