"""Labels by density functional theory: write -> run under custodian -> prove -> parse."""

from .labeler import LABELERS, Labeler, make_labeler
from .relabel import relabel, relabel_many
from .theory import theory_of

__all__ = ["LABELERS", "Labeler", "make_labeler", "relabel", "relabel_many", "theory_of"]
