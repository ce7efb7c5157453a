// Members of a customer group pay less than the catalog says.
import type { CallContext, ComponentInfo, Line } from "till:checkout/types@0.1.2";
import type { LinePrice, PriceRequest, PriceResult } from "till:checkout/pricing-rules@0.1.2";
import { configOf, exact, problem, share, times } from "./till.ts";

/** What a merchant sets. */
interface Config {
    currency: string;
    group: string;
    /** Parts per million off the catalog price. */
    ppm: number;
}

/** Checked by the host when a merchant binds the component. */
const configSchema = {
    type: "object",
    required: ["currency", "group", "ppm"],
    additionalProperties: false,
    properties: {
        currency: { type: "string", pattern: "^[A-Z]{3}$" },
        group: { type: "string", minLength: 1 },
        ppm: { type: "integer", minimum: 0, maximum: 1_000_000 },
    },
};

function describe(): ComponentInfo {
    return { name: "{{title}}", version: "0.1.0", configSchema: JSON.stringify(configSchema), capabilities: [], attributes: [] };
}

function price(ctx: CallContext, request: PriceRequest): PriceResult {
    const config = configOf<Config>(ctx);
    if (ctx.currency !== config.currency) {
        throw problem("invalid-input", "no-prices", `there are no prices in ${ctx.currency}`);
    }
    const member = request.cart.customer?.groups.includes(config.group) ?? false;
    const lines = request.cart.lines.map((line) => priced(line, member ? config : null));
    return { lines, messages: [], attributes: [] };
}

function priced(line: Line, config: Config | null): LinePrice {
    const unitPrice = line.catalogPrice - (config ? share(line.catalogPrice, config.ppm) : 0);
    const reason = config ? { code: "member", text: `price for ${config.group}` } : { code: "catalog", text: "price of the catalog" };
    return {
        tag: "priced",
        val: {
            line: line.id,
            unitPrice,
            lineTotal: times(unitPrice, line.quantity),
            compareAt: config ? line.catalogPrice : null,
            priceList: config ? config.group : null,
            tier: null,
            includesTax: line.priceIncludesTax,
            reasons: [reason],
            attributes: [],
        },
    };
}

export const pricingRules = exact({ describe, price });
