// One rate of tax for each place, on goods and not on shipping.
import type { CallContext, ComponentInfo } from "till:checkout/types@0.1.2";
import type { TaxEntry, TaxRequest, TaxResult, TaxableLine } from "till:checkout/tax-rules@0.1.2";
import { configOf, exact, problem } from "./till.ts";

/** What a merchant sets. */
interface Config {
    name: string;
    /** Parts per million by place: `US-CA`, or `DE` for a whole country. */
    rates: Record<string, number>;
}

/** Checked by the host when a merchant binds the component. */
const configSchema = {
    type: "object",
    required: ["name", "rates"],
    additionalProperties: false,
    properties: {
        name: { type: "string", minLength: 1 },
        rates: { type: "object", additionalProperties: { type: "integer", minimum: 0, maximum: 1_000_000 } },
    },
};

function describe(): ComponentInfo {
    return { name: "{{title}}", version: "0.1.0", configSchema: JSON.stringify(configSchema), capabilities: [], attributes: [] };
}

function calculate(ctx: CallContext, request: TaxRequest): TaxResult {
    const config = configOf<Config>(ctx);
    const to = request.shipTo;
    // Before the shopper has given an address nothing is known.
    if (!to) return { entries: [], messages: [], attributes: [] };
    const place = [`${to.country}-${to.region}`, to.country].find((place) => Object.hasOwn(config.rates, place));
    if (place === undefined) {
        throw problem("invalid-input", "no-rate", `there is no rate for ${to.country}-${to.region}`, "$.ship_to");
    }
    const rate = config.rates[place] ?? 0;
    return { entries: request.lines.map((line) => entry(line, config.name, place, rate)), messages: [], attributes: [] };
}

function entry(line: TaxableLine, name: string, place: string, rate: number): TaxEntry {
    return {
        appliesTo: { tag: "line", val: line.line },
        jurisdiction: place,
        name,
        kind: "sales",
        taxable: line.net,
        rate,
        amount: null, // The host computes and rounds by the merchant's policy.
        included: line.includesTax,
        reasons: [{ code: "rate", text: `${rate} ppm in ${place}` }],
    };
}

export const taxRules = exact({ describe, calculate });
