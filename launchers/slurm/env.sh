# Source it in bash before qlaunch; sbatch carries these variables into the jobs.
#   source launchers/slurm/env.sh
FW_NNP_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) # my_launchpad.yaml and launchers/
FW_NNP_ENV=${FW_NNP_ENV:-$FW_NNP_HOME/.venv}                      # the Python environment of the jobs
FW_CONFIG_FILE=$FW_NNP_HOME/launchers/slurm/FW_config.yaml
PATH=$FW_NNP_ENV/bin:$PATH
export FW_NNP_HOME FW_NNP_ENV FW_CONFIG_FILE PATH
