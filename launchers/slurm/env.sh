# Source it in bash before qlaunch; sbatch carries these variables into the jobs.
#   source launchers/slurm/env.sh
FW_NNP_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) # my_launchpad.yaml and launchers/
FW_NNP_ENV=${FW_NNP_ENV:-$FW_NNP_HOME/.venv}                      # the Python environment of the jobs
FW_CONFIG_FILE=$FW_NNP_HOME/launchers/slurm/FW_config.yaml
PATH=$FW_NNP_ENV/bin:$PATH
# OpenMP's threads sleep while they wait for each other. By default they spin, which takes the core
# from whoever computes on it: with more threads than free cores a training is up to 20 times slower.
OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export FW_NNP_HOME FW_NNP_ENV FW_CONFIG_FILE PATH OMP_WAIT_POLICY
