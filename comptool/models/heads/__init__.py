"""Heads that query feature maps, of one stream or several.

Options: ``num_queries`` and ``dropout`` of ``ml-decoder`` (also ``learnable_queries``) and
``ml-decoder-learnable``; ``hidden_dim`` and ``dropout`` of ``q2l`` and ``q2l-full``.
"""
