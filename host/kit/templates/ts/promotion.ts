// Spend at least so much and get so much off.
import type { CallContext, ComponentInfo } from "till:checkout/types@0.1.2";
import type { PromotionRequest, PromotionResult } from "till:checkout/promotion-rules@0.1.2";
import { configOf, exact, problem } from "./till.ts";

/** What a merchant sets. Amounts are minor units (cents) of the cart's currency. */
interface Config {
    title: string;
    minimum: number;
    amount: number;
}

/** Checked by the host when a merchant binds the component. */
const configSchema = {
    type: "object",
    required: ["title", "minimum", "amount"],
    additionalProperties: false,
    properties: {
        title: { type: "string", minLength: 1 },
        minimum: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
        amount: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    },
};

function describe(): ComponentInfo {
    return { name: "{{title}}", version: "0.1.0", configSchema: JSON.stringify(configSchema), capabilities: [], attributes: [] };
}

function evaluate(ctx: CallContext, request: PromotionRequest): PromotionResult {
    const config = configOf<Config>(ctx);
    if (config.amount > config.minimum) {
        throw problem("invalid-config", "amount-above-minimum", "`amount` must not be above `minimum`", "$.amount");
    }
    const lacking = config.minimum - request.subtotal;
    if (lacking > 0) {
        const missing = [{ code: "spend-more", quantity: lacking, text: `${lacking} more to go` }];
        const reason = { code: "below-minimum", text: `from ${config.minimum} on` };
        return { candidates: [], refusals: [{ promotion: "{{name}}", code: null, reason, missing }], messages: [], attributes: [] };
    }
    const candidate = {
        promotion: "{{name}}",
        code: null,
        automatic: true,
        title: config.title,
        priority: 0,
        exclusive: false,
        combinesWith: [],
        base: "original" as const,
        target: { tag: "order" as const },
        value: { tag: "amount" as const, val: config.amount },
        cap: null,
        floorUnitPrice: null,
        uses: 0,
        usesLimit: null,
        customerLimit: null,
        reasons: [{ code: "minimum-reached", text: `${config.amount} off from ${config.minimum} on` }],
        attributes: [],
    };
    return { candidates: [candidate], refusals: [], messages: [], attributes: [] };
}

export const promotionRules = exact({ describe, evaluate });
