"""Several hundred answers as they were at one commit, to show that a change of form changed no number.

`python -m validation.recorded --write FILE` records them, `--compare FILE` computes them again and prints what differs.
"""
