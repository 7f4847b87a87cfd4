"""How often intervals hold and advice helps, on data whose truth is known."""
