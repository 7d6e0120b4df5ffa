"""Time of a prediction, ours and others': ``python benchmarks/inference_speed.py``.

Peers are installed by ``python benchmarks/peers/install.py``; absent ones are named and left out.
"""

from speed.command import run
from speed.contestants import INFERENCE
from speed.goals import INFERENCE as GOALS

if __name__ == "__main__":
    run("inference speed", INFERENCE, GOALS)
