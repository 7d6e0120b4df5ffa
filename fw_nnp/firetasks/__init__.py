"""FireTasks: thin shells around one function each.

``_fw_name: "{{fw_nnp.firetasks.PlanCampaign}}"`` in a workflow file is all that FireWorks
needs; these names do not change.
"""

from .tasks import (
    CollectDataset,
    ComputeReference,
    EvaluateModel,
    PlanCampaign,
    RelabelChunk,
    SampleRun,
    SelectFrames,
    TrainStage,
    WriteReport,
)

__all__ = [
    "CollectDataset",
    "ComputeReference",
    "EvaluateModel",
    "PlanCampaign",
    "RelabelChunk",
    "SampleRun",
    "SelectFrames",
    "TrainStage",
    "WriteReport",
]
