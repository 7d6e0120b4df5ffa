"""Time of a training step, ours and others': ``python benchmarks/training_speed.py``.

Peers are installed by ``python benchmarks/peers/install.py``; absent ones are named and left out.
"""

from speed.command import run
from speed.contestants import TRAINING
from speed.goals import TRAINING as GOALS

if __name__ == "__main__":
    run("training speed", TRAINING, GOALS)
