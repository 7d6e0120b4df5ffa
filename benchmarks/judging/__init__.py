"""How `accuracy.py` trains and judges; what users need as well is in `fw_nnp.properties`."""
