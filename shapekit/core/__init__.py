"""In: nothing. Out: the values every other folder speaks in: Level, Frame, Grid, Image, LabelMap, Body, Sdf, Mesh, Expected.

numpy and torch only; nothing here reads a file.
"""
