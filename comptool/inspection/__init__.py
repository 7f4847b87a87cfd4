"""A first look at a download: what is in it and what is wrong with it. No torch."""
