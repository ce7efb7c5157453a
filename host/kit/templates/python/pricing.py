"""Members of a customer group pay less than the catalog says."""

import json

from till_guest import checked, config_of, problem, share
from wit_world import exports
from wit_world.exports.pricing_rules import LinePrice_Priced, PricedLine, PriceRequest, PriceResult
from wit_world.imports.types import CallContext, ComponentInfo, Line, Reason

# Checked by the host when a merchant binds the component. `ppm` are parts per million off the catalog price.
CONFIG_SCHEMA = {
    "type": "object",
    "required": ["currency", "group", "ppm"],
    "additionalProperties": False,
    "properties": {
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "group": {"type": "string", "minLength": 1},
        "ppm": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
    },
}


@checked
class PricingRules(exports.PricingRules):
    def describe(self) -> ComponentInfo:
        return ComponentInfo("{{title}}", "0.1.0", json.dumps(CONFIG_SCHEMA), [], [])

    def price(self, ctx: CallContext, request: PriceRequest) -> PriceResult:
        config = config_of(ctx)
        if ctx.currency != config["currency"]:
            raise problem("invalid-input", "no-prices", f"there are no prices in {ctx.currency}")
        customer = request.cart.customer
        member = customer is not None and config["group"] in customer.groups
        lines = [LinePrice_Priced(_priced(line, config, member)) for line in request.cart.lines]
        return PriceResult(lines, [], [])


def _priced(line: Line, config: dict, member: bool) -> PricedLine:
    unit_price = line.catalog_price
    reason = Reason("catalog", "price of the catalog")
    if member:
        unit_price -= share(line.catalog_price, config["ppm"])
        reason = Reason("member", f"price for {config['group']}")
    return PricedLine(
        line=line.id,
        unit_price=unit_price,
        line_total=unit_price * line.quantity,
        compare_at=line.catalog_price if member else None,
        price_list=config["group"] if member else None,
        tier=None,
        includes_tax=line.price_includes_tax,
        reasons=[reason],
        attributes=[],
    )
