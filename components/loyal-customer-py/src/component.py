"""An amount off for loyal customers: those with a tag, or with enough confirmed orders.

Owns: who is loyal. Must not know: how the amount is split over lines and combined with other promotions;
the host does that by the merchant's policies.
"""

import json

from till_guest import checked, config_of
from wit_world import exports
from wit_world.exports.promotion_rules import (
    Base,
    Candidate,
    Missing,
    PromotionRequest,
    PromotionResult,
    Refusal,
    Target_Order,
    Value_Amount,
)
from wit_world.imports.types import CallContext, ComponentInfo, Customer, Reason

# What a merchant sets: {"title": "Thank you", "amount": 500, "orders": 5, "tag": "vip"}. Amounts are minor
# units of the cart's currency. The host checks a configuration against this when it is bound.
CONFIG_SCHEMA = {
    "type": "object",
    "required": ["title", "amount", "orders"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "amount": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
        "orders": {"type": "integer", "minimum": 1, "description": "Confirmed orders that make a customer loyal"},
        "tag": {"type": "string", "minLength": 1, "description": "Customers with this tag need no orders"},
    },
}
PROMOTION = "loyal-customer"


@checked
class PromotionRules(exports.PromotionRules):
    def describe(self) -> ComponentInfo:
        return ComponentInfo("Loyal customer", "0.1.0", json.dumps(CONFIG_SCHEMA), [], [])

    def evaluate(self, ctx: CallContext, request: PromotionRequest) -> PromotionResult:
        config = config_of(ctx)
        customer = request.cart.customer
        if customer is None:
            return _refused("guest", "for customers who are signed in", [])
        why = _loyal(customer, config)
        if why is None:
            lacking = config["orders"] - customer.orders_count
            missing = Missing("order-more", lacking, f"{lacking} more orders to go")
            return _refused("not-loyal-yet", f"after {config['orders']} orders", [missing])
        amount = min(config["amount"], request.subtotal)
        return PromotionResult([_candidate(config["title"], amount, why)], [], [], [])


def _loyal(customer: Customer, config: dict) -> str | None:
    """Why somebody is loyal; None: not yet."""
    if config.get("tag") in customer.tags:
        return f"has the tag {config['tag']}"
    if customer.orders_count >= config["orders"]:
        return f"{customer.orders_count} orders so far"
    return None


def _refused(code: str, text: str, missing: list[Missing]) -> PromotionResult:
    return PromotionResult([], [Refusal(PROMOTION, None, Reason(code, text), missing)], [], [])


def _candidate(title: str, amount: int, why: str) -> Candidate:
    return Candidate(
        promotion=PROMOTION,
        code=None,
        automatic=True,
        title=title,
        priority=0,
        exclusive=False,
        combines_with=[],
        base=Base.ORIGINAL,
        target=Target_Order(),
        value=Value_Amount(amount),
        cap=None,
        floor_unit_price=None,
        uses=0,
        uses_limit=None,
        customer_limit=None,
        reasons=[Reason("loyal", why)],
        attributes=[],
    )
