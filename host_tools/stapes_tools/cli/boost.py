"""The option that says how much a likely phrase gains: natural logarithms for each of its words."""

import click
import stapes_spec as spec

_NAT = 1 << spec.Q_LOG_PROB_FRACTION_BITS
BOOST = click.FloatRange(0, (spec.LIMITS_CONTEXT_BONUS + 1) // _NAT)
BOOST_HELP = f"For each word of a likely phrase.  [default: {spec.SEARCH_CONTEXT_BOOST / _NAT:g}]"
