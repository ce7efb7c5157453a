"""One rate of tax for each place, on goods and not on shipping."""

import json

from till_guest import checked, config_of, problem
from wit_world import exports
from wit_world.exports.tax_rules import AppliesTo_Line, TaxableLine, TaxEntry, TaxRequest, TaxResult
from wit_world.imports.types import CallContext, ComponentInfo, Reason

# Checked by the host when a merchant binds the component. Rates are parts per million by place: `US-CA`,
# or `DE` for a whole country.
CONFIG_SCHEMA = {
    "type": "object",
    "required": ["name", "rates"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "rates": {
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        },
    },
}


@checked
class TaxRules(exports.TaxRules):
    def describe(self) -> ComponentInfo:
        return ComponentInfo("{{title}}", "0.1.0", json.dumps(CONFIG_SCHEMA), [], [])

    def calculate(self, ctx: CallContext, request: TaxRequest) -> TaxResult:
        config = config_of(ctx)
        to = request.ship_to
        if to is None:  # Before the shopper has given an address nothing is known.
            return TaxResult([], [], [])
        places = [f"{to.country}-{to.region}", to.country]
        place = next((place for place in places if place in config["rates"]), None)
        if place is None:
            raise problem("invalid-input", "no-rate", f"there is no rate for {places[0]}", "$.ship_to")
        rate = config["rates"][place]
        return TaxResult([_entry(line, config["name"], place, rate) for line in request.lines], [], [])


def _entry(line: TaxableLine, name: str, place: str, rate: int) -> TaxEntry:
    return TaxEntry(
        applies_to=AppliesTo_Line(line.line),
        jurisdiction=place,
        name=name,
        kind="sales",
        taxable=line.net,
        rate=rate,
        amount=None,  # The host computes and rounds by the merchant's policy.
        included=line.includes_tax,
        reasons=[Reason("rate", f"{rate} ppm in {place}")],
    )
