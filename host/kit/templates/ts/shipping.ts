// One flat rate, free from so much on.
import type { CallContext, ComponentInfo } from "till:checkout/types@0.1.2";
import type { Group, RateRequest, RateResult, ShippingOption } from "till:checkout/shipping-rates@0.1.2";
import { configOf, exact, plus, problem, times } from "./till.ts";

/** What a merchant sets. Amounts are minor units of `currency`. */
interface Config {
    currency: string;
    price: number;
    freeFrom: number;
    days: number;
}

/** Checked by the host when a merchant binds the component. */
const amount = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const configSchema = {
    type: "object",
    required: ["currency", "price", "freeFrom", "days"],
    additionalProperties: false,
    properties: {
        currency: { type: "string", pattern: "^[A-Z]{3}$" },
        price: amount,
        freeFrom: amount,
        days: { type: "integer", minimum: 1, maximum: 60 },
    },
};

const DAY_MS = 86_400_000;

function describe(): ComponentInfo {
    return { name: "{{title}}", version: "0.1.0", configSchema: JSON.stringify(configSchema), capabilities: [], attributes: [] };
}

function rates(ctx: CallContext, request: RateRequest): RateResult {
    const config = configOf<Config>(ctx);
    if (ctx.currency !== config.currency) {
        throw problem("invalid-input", "no-rates", `there are no rates in ${ctx.currency}`);
    }
    const free = request.goodsTotal >= config.freeFrom;
    const options = request.groups.map((group) => option(ctx, group, config, free));
    return { options, messages: [], attributes: [] };
}

function option(ctx: CallContext, group: Group, config: Config, free: boolean): ShippingOption {
    return {
        id: "standard",
        group: group.id,
        carrier: "own",
        service: "standard",
        title: `Standard, up to ${config.days} days`,
        price: free ? 0 : config.price,
        taxClass: "standard",
        earliestMs: null,
        // The time of the call is in the context; a component has no other clock.
        latestMs: plus(ctx.nowMs, times(config.days, DAY_MS)),
        pickup: null,
        constraints: [],
        expiresMs: null,
        reasons: [free ? { code: "free", text: `free from ${config.freeFrom} on` } : { code: "flat", text: "flat rate" }],
        attributes: [],
    };
}

export const shippingRates = exact({ describe, rates });
