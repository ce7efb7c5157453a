// What a component in TypeScript needs beside the contract: exact amounts and typed errors.
import type { CallContext, ComponentError } from "till:checkout/types@0.1.2";

/**
 * Wraps the functions of a component so that no number is ever rounded without a word.
 *
 * QuickJS hands every whole number of the contract over as a JavaScript number. Beyond ±(2^53 − 1) it
 * would be rounded, and a fraction that is returned would be cut off. Here both throw, with the field.
 */
export function exact<Rules extends object>(rules: Rules): Rules {
    const wrapped: Record<string, unknown> = {};
    for (const [name, rule] of Object.entries(rules)) {
        const plan = AMOUNTS[name];
        wrapped[name] = plan === undefined ? rule : (ctx: unknown, request: unknown) => {
            check(ctx, CONTEXT, "context");
            check(request, plan.request, "request");
            const result: unknown = rule(ctx, request);
            check(result, plan.result, "result");
            return result;
        };
    }
    return wrapped as Rules;
}

/** Fields to look at: 64-bit numbers themselves, or records and lists of records that have some. */
type Plan = [field: string, inner: Plan | null][];

const numbers = (...fields: string[]): Plan => fields.map((field) => [field, null]);

// Every s64 and u64 of the contract is here; looking at all fields of a cart would take twice the time of
// the work itself.
const CONTEXT: Plan = numbers("nowMs");
const CART: Plan = [["lines", numbers("catalogPrice", "compareAt")], ["codes", numbers("usesLeft", "customerUsesLeft")]];
const AMOUNTS: Record<string, { request: Plan; result: Plan }> = {
    price: {
        request: [["cart", CART]],
        result: [["lines", [["val", numbers("unitPrice", "lineTotal", "compareAt")]]]],
    },
    evaluate: {
        request: [
            ["cart", CART],
            ["lines", numbers("unitPrice", "original", "remaining")],
            ["subtotal", null],
            ["earlier", numbers("amount")],
            ["shipping", numbers("price")],
        ],
        result: [
            ["candidates", [["value", numbers("val")], ...numbers("cap", "floorUnitPrice", "usesLimit", "customerLimit")]],
            ["refusals", [["missing", numbers("quantity")]]],
        ],
    },
    calculate: {
        request: [["lines", numbers("net")], ["shipping", numbers("net")]],
        result: [["entries", numbers("taxable", "rate", "amount")]],
    },
    assess: {
        request: [["cart", CART], ["total", null], ["history", numbers("spent", "firstOrderMs")]],
        result: [],
    },
    rates: {
        request: [
            ["cart", CART],
            ["groups", [["lines", numbers("value")], ["parcels", numbers("value")]]],
            ["goodsTotal", null],
        ],
        result: [["options", numbers("price", "earliestMs", "latestMs", "expiresMs")]],
    },
};

function check(value: unknown, plan: Plan, name: string): void {
    if (sound(value, plan)) return;
    throw new RangeError(`${name}${inexact(value)}: not a whole number within ±(2^53 − 1)`);
}

function sound(value: unknown, plan: Plan): boolean {
    if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index += 1) {
            if (!sound(value[index], plan)) return false;
        }
        return true;
    }
    for (let index = 0; index < plan.length; index += 1) {
        const [field, inner] = plan[index]!;
        const part = (value as Record<string, unknown>)[field];
        if (part === null || part === undefined) continue;
        if (inner === null ? !Number.isSafeInteger(part) : !sound(part, inner)) return false;
    }
    return true;
}

/** Where the first number is that is not exact, and which. */
function inexact(value: unknown): string | null {
    if (typeof value === "number") return Number.isSafeInteger(value) ? null : ` is ${value}`;
    if (typeof value === "bigint") return ` is ${value}n, use number(${value}n)`;
    if (typeof value !== "object" || value === null) return null;
    if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index += 1) {
            const found = inexact(value[index]);
            if (found !== null) return `[${index}]${found}`;
        }
        return null;
    }
    for (const name in value) {
        const found = inexact((value as Record<string, unknown>)[name]);
        if (found !== null) return `.${name}${found}`;
    }
    return null;
}

/** A whole number as the contract wants it. Throws where it would not be exact. */
export function number(value: bigint): number {
    const result = Number(value);
    if (!Number.isSafeInteger(result)) throw new RangeError(`${value} is beyond ±(2^53 − 1)`);
    return result;
}

/** `amount × count`, exact. */
export function times(amount: number, count: number): number {
    return number(BigInt(amount) * BigInt(count));
}

/** The sum, exact. */
export function plus(...amounts: number[]): number {
    return number(amounts.reduce((sum, amount) => sum + BigInt(amount), 0n));
}

/** A share of an amount in parts per million; halves are rounded away from zero. */
export function share(amount: number, ppm: number): number {
    const exactly = BigInt(amount) * BigInt(ppm);
    const half = exactly < 0n ? -500_000n : 500_000n;
    return number((exactly + half) / 1_000_000n);
}

/** The configuration of the binding. The host has checked it against the schema that `describe` gives. */
export function configOf<Config>(ctx: CallContext): Config {
    return JSON.parse(ctx.config) as Config;
}

/** To be thrown: this component cannot answer. `tag` says who can mend it. */
export function problem(tag: ComponentError["tag"], code: string, text: string, path?: string): ComponentError {
    return { tag, val: { code, text, path: path ?? null, retryAfterMs: null, attributes: [] } };
}
