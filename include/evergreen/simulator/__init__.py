"""Data of the same shape as the two shipped models' real files, for tests, the demo and play.

Everything is a function of its arguments and the seed: the same call gives the same rows, and a
month simulated alone equals that month out of a longer run.
"""

from include.evergreen.simulator.bike import simulate_bike
from include.evergreen.simulator.electricity import simulate_electricity
from include.evergreen.simulator.writing import labels_of, write_csv

__all__ = ["labels_of", "simulate_bike", "simulate_electricity", "write_csv"]
