"""Registry of the practice competitions.

Practice competitions: downloads as organisers hand them out, with the answers kept apart.

A simulation is called ``simulate(folder, scale=, seed=, say=, processes=, quiet=)``; it fills an
empty folder and gives the facts that are recorded with it. The bytes follow from scale, seed and
its own options, and from nothing else. ``say`` takes messages, ``processes`` tells how many draw,
None for one per core, and ``quiet`` whether there is no bar.
"""

from __future__ import annotations

from comptool.registry import Entry, Registry

SIMULATIONS: Registry[Entry] = Registry(
    "practice competition",
    Entry(
        "mavoc",
        "comptool.practice.chips:simulate_mavoc",
        "Ten vehicle types as pairs of a SAR and an EO chip, with a long tail.",
        "MAVOC challenge 2021-2023; chips after AFRL's UNICORN 2008",
    ),
    Entry(
        "ntire",
        "comptool.practice.chips:simulate_ntire",
        "The same vehicles as SAR chips alone; class 0 is 81 % of them.",
        "NTIRE 2021 challenge on aerial view object classification, track 1",
    ),
    Entry(
        "aicoss",
        "comptool.practice.aicoss:simulate",
        "Aerial scenes with several labels each, some missing from the training table.",
        "AICOSS challenge 2022; classes and scenes after MLRSNet (Qi et al. 2020)",
    ),
    Entry(
        "rust",
        "comptool.practice.leaves:simulate_rust",
        "The share of a leaf that is rusty, a number.",
        "ours",
    ),
    Entry(
        "rust-grades",
        "comptool.practice.leaves:simulate_rust_grades",
        "The severity of rust on a leaf, a grade from 0 to 4.",
        "ours",
    ),
)
