"""The plan: how a bundle is run on this machine inside a memory limit, decided before anything runs.

`planner.plan` makes one, `validate.validate` checks it, `explain.explain` tells it as a table. In between: costs.py
looks the measurements up, knapsack.py and residency.py choose how each block is held (footprint.py and pipeline.py say
what that takes), offsets.py and layout.py lay out the arena, options.py makes plans of it, why.py finds words.
"""
