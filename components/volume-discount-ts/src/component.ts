// Buy more, pay less: so much off each unit, by tiers of quantity.
//
// Owns: which tier a line reaches and the amount that follows. Must not know: how the amount is split and
// capped; the host does that by the merchant's policies.
import { log } from "till:checkout/log@0.1.2";
import type { CallContext, ComponentInfo, Line } from "till:checkout/types@0.1.2";
import type { Candidate, LineState, PromotionRequest, PromotionResult } from "till:checkout/promotion-rules@0.1.2";
import { configOf, exact, problem, times } from "./till.ts";

/** From so many units on, so much off each of them, in minor units of the cart's currency. */
interface Tier {
    from: number;
    off: number;
}

/** What a merchant sets: `{"title": "More is less", "tiers": [{"from": 3, "off": 100}]}`. */
interface Config {
    title: string;
    /** Lowest `from` first. */
    tiers: Tier[];
    /** Only products with this tag; absent: all. */
    tag?: string;
}

const configSchema = {
    type: "object",
    required: ["title", "tiers"],
    additionalProperties: false,
    properties: {
        title: { type: "string", minLength: 1 },
        tag: { type: "string", minLength: 1 },
        tiers: {
            type: "array",
            minItems: 1,
            maxItems: 20,
            items: {
                type: "object",
                required: ["from", "off"],
                additionalProperties: false,
                properties: {
                    from: { type: "integer", minimum: 1, maximum: 4_294_967_295 },
                    off: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
                },
            },
        },
    },
};

function describe(): ComponentInfo {
    return {
        name: "Volume discount",
        version: "0.1.0",
        configSchema: JSON.stringify(configSchema),
        capabilities: [],
        attributes: [],
    };
}

function evaluate(ctx: CallContext, request: PromotionRequest): PromotionResult {
    const config = configOf<Config>(ctx);
    checkOrder(config.tiers);
    const states = new Map(request.lines.map((state) => [state.line, state]));
    const candidates: Candidate[] = [];
    for (const line of request.cart.lines) {
        if (config.tag !== undefined && !line.tags.includes(config.tag)) continue;
        const tier = config.tiers.findLast((tier) => line.quantity >= tier.from);
        if (tier === undefined) continue;
        const state = states.get(line.id);
        if (state === undefined) throw new Error(`line ${line.id} has no price`);
        candidates.push(candidate(config, line, state, tier));
    }
    log("debug", `${candidates.length} of ${request.cart.lines.length} lines reach a tier`);
    return { candidates, refusals: [], messages: [], attributes: [] };
}

/** The schema cannot say that one tier follows another. */
function checkOrder(tiers: Tier[]): void {
    tiers.reduce((before, tier, index) => {
        if (tier.from > before) return tier.from;
        throw problem("invalid-config", "tiers-unordered", "a tier begins below the one before", `$.tiers[${index}].from`);
    }, 0);
}

function candidate(config: Config, line: Line, state: LineState, tier: Tier): Candidate {
    // Never more than the line costs; exact up to 2^53 − 1, an error beyond.
    const off = times(Math.min(tier.off, state.unitPrice), line.quantity);
    return {
        promotion: "volume-discount",
        code: null,
        automatic: true,
        title: config.title,
        priority: 0,
        exclusive: false,
        combinesWith: [],
        base: "original",
        target: { tag: "lines", val: [{ line: line.id, units: line.quantity }] },
        value: { tag: "amount", val: off },
        cap: state.original,
        floorUnitPrice: null,
        uses: 0,
        usesLimit: null,
        customerLimit: null,
        reasons: [{ code: "quantity-tier", text: `${tier.from} or more: ${tier.off} off each` }],
        attributes: [],
    };
}

export const promotionRules = exact({ describe, evaluate });
