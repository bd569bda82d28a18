"""Arithmetic to 60 digits for derivations written by hand: numbers, + - * /, log2 and sqrt.

Shares nothing with the engine, so that a formula that is wrong there cannot be wrong here in the same way.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from decimal import Decimal, localcontext

DIGITS = 60
BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}
FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "log2": lambda value: value.ln() / Decimal(2).ln(),
    "sqrt": lambda value: value.sqrt(),
}


def evaluate(expression: str) -> float:
    """Return the double nearest to what `expression` says."""
    with localcontext() as context:
        context.prec = DIGITS
        return float(_value(ast.parse(expression, mode="eval").body))


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Decimal(str(number))
        case ast.BinOp(left=left, op=operator, right=right):
            return BINARY[type(operator)](_value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](_value(argument))
    raise ValueError(f"not arithmetic: {ast.unparse(node)}")
