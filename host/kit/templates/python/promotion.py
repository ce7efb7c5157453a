"""Spend at least so much and get so much off."""

import json

from till_guest import checked, config_of, problem
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
from wit_world.imports.types import CallContext, ComponentInfo, Reason

# Checked by the host when a merchant binds the component. Amounts are minor units (cents).
CONFIG_SCHEMA = {
    "type": "object",
    "required": ["title", "minimum", "amount"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "minimum": {"type": "integer", "minimum": 0},
        "amount": {"type": "integer", "minimum": 1},
    },
}


@checked
class PromotionRules(exports.PromotionRules):
    def describe(self) -> ComponentInfo:
        return ComponentInfo("{{title}}", "0.1.0", json.dumps(CONFIG_SCHEMA), [], [])

    def evaluate(self, ctx: CallContext, request: PromotionRequest) -> PromotionResult:
        config = config_of(ctx)
        minimum, amount = config["minimum"], config["amount"]
        if amount > minimum:
            raise problem("invalid-config", "amount-above-minimum", "`amount` must not be above `minimum`", "$.amount")
        lacking = minimum - request.subtotal
        if lacking > 0:
            missing = Missing("spend-more", lacking, f"{lacking} more to go")
            reason = Reason("below-minimum", f"from {minimum} on")
            return PromotionResult([], [Refusal("{{name}}", None, reason, [missing])], [], [])
        candidate = Candidate(
            promotion="{{name}}",
            code=None,
            automatic=True,
            title=config["title"],
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
            reasons=[Reason("minimum-reached", f"{amount} off from {minimum} on")],
            attributes=[],
        )
        return PromotionResult([candidate], [], [], [])
