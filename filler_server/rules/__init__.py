"""Rules for what fills the parameters of a model of any framework: `InitRules` of `caffe_filler/v1/rules.proto`.

Reading them, finding the one that fits a parameter, and what theory expects of the values. Nothing is computed here.
"""

from filler_server.rules.assignment import Assignment
from filler_server.rules.parameter import Parameter, parameters_of
from filler_server.rules.reading import read_rules
from filler_server.rules.rules import Rules

__all__ = ["Assignment", "Parameter", "Rules", "parameters_of", "read_rules"]
