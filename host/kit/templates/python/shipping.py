"""One flat rate, free from so much on."""

import json

from till_guest import checked, config_of, problem
from wit_world import exports
from wit_world.exports.shipping_rates import Group, RateRequest, RateResult, ShippingOption
from wit_world.imports.types import CallContext, ComponentInfo, Reason

# Checked by the host when a merchant binds the component. Amounts are minor units of `currency`.
CONFIG_SCHEMA = {
    "type": "object",
    "required": ["currency", "price", "freeFrom", "days"],
    "additionalProperties": False,
    "properties": {
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "price": {"type": "integer", "minimum": 0},
        "freeFrom": {"type": "integer", "minimum": 0},
        "days": {"type": "integer", "minimum": 1, "maximum": 60},
    },
}
DAY_MS = 86_400_000


@checked
class ShippingRates(exports.ShippingRates):
    def describe(self) -> ComponentInfo:
        return ComponentInfo("{{title}}", "0.1.0", json.dumps(CONFIG_SCHEMA), [], [])

    def rates(self, ctx: CallContext, request: RateRequest) -> RateResult:
        config = config_of(ctx)
        if ctx.currency != config["currency"]:
            raise problem("invalid-input", "no-rates", f"there are no rates in {ctx.currency}")
        free = request.goods_total >= config["freeFrom"]
        return RateResult([_option(ctx, group, config, free) for group in request.groups], [], [])


def _option(ctx: CallContext, group: Group, config: dict, free: bool) -> ShippingOption:
    reason = Reason("free", f"free from {config['freeFrom']} on") if free else Reason("flat", "flat rate")
    return ShippingOption(
        id="standard",
        group=group.id,
        carrier="own",
        service="standard",
        title=f"Standard, up to {config['days']} days",
        price=0 if free else config["price"],
        tax_class="standard",
        earliest_ms=None,
        # The time of the call is in the context; a component has no other clock.
        latest_ms=ctx.now_ms + config["days"] * DAY_MS,
        pickup=None,
        constraints=[],
        expires_ms=None,
        reasons=[reason],
        attributes=[],
    )
