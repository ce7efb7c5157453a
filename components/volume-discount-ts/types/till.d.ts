// The contract as TypeScript, made from wit/ (sha256 43532fb4ff065216655fb1ac71827d6be27b960bc201b9df8d319f9b73f3142b) by jco.

declare module 'till:checkout/log@0.1.2' {
  /**
   * Never traps. Text above the limit is cut, and the report says so.
   */
  export function log(level: Level, text: string): void;
  /**
   * # Variants
   *
   * ## `"debug"`
   *
   * ## `"info"`
   *
   * ## `"warn"`
   *
   * ## `"error"`
   */
  export type Level = 'debug' | 'info' | 'warn' | 'error';
}

declare module 'till:checkout/pricing-rules@0.1.2' {
  /**
   * Says what this component is. Must not depend on the merchant.
   */
  export function describe(): ComponentInfo;
  /**
   * Prices all lines of a cart.
   */
  export function price(ctx: CallContext, request: PriceRequest): PriceResult;
  export type Attributes = import('till:checkout/types@0.1.2').Attributes;
  export type CallContext = import('till:checkout/types@0.1.2').CallContext;
  export type Cart = import('till:checkout/types@0.1.2').Cart;
  export type ComponentError = import('till:checkout/types@0.1.2').ComponentError;
  export type ComponentInfo = import('till:checkout/types@0.1.2').ComponentInfo;
  export type Message = import('till:checkout/types@0.1.2').Message;
  export type Reason = import('till:checkout/types@0.1.2').Reason;
  export interface PriceRequest {
    cart: Cart,
    attributes: Attributes,
  }
  /**
   * A line with its price.
   */
  export interface PricedLine {
    /**
     * Id of the line in the request.
     */
    line: string,
    /**
     * Price of one unit, for showing. Not negative.
     */
    unitPrice: number,
    /**
     * Price of the whole line. This is what is charged; it need not be `unit-price × quantity`
     * (three for 10.00), but must not be negative.
     */
    lineTotal: number,
    compareAt?: number | null,
    /**
     * Which price list gave the price.
     */
    priceList?: string | null,
    /**
     * Which quantity tier, for example `10+`.
     */
    tier?: string | null,
    /**
     * The amounts include tax.
     */
    includesTax: boolean,
    /**
     * Why, for the decision trace.
     */
    reasons: Array<Reason>,
    attributes: Attributes,
  }
  /**
   * A line that cannot be sold to this customer now.
   */
  export interface UnavailableLine {
    line: string,
    reason: Reason,
  }
  export type LinePrice = LinePricePriced | LinePriceUnavailable;
  export interface LinePricePriced {
    tag: 'priced',
    val: PricedLine,
  }
  export interface LinePriceUnavailable {
    tag: 'unavailable',
    val: UnavailableLine,
  }
  export interface PriceResult {
    /**
     * One entry for each line of the request, in any order.
     */
    lines: Array<LinePrice>,
    messages: Array<Message>,
    attributes: Attributes,
  }
}

declare module 'till:checkout/promotion-rules@0.1.2' {
  /**
   * Says what this component is. Must not depend on the merchant.
   */
  export function describe(): ComponentInfo;
  /**
   * Proposes discounts for a priced cart.
   */
  export function evaluate(ctx: CallContext, request: PromotionRequest): PromotionResult;
  export type Attributes = import('till:checkout/types@0.1.2').Attributes;
  export type CallContext = import('till:checkout/types@0.1.2').CallContext;
  export type Cart = import('till:checkout/types@0.1.2').Cart;
  export type ComponentError = import('till:checkout/types@0.1.2').ComponentError;
  export type ComponentInfo = import('till:checkout/types@0.1.2').ComponentInfo;
  export type Message = import('till:checkout/types@0.1.2').Message;
  export type Reason = import('till:checkout/types@0.1.2').Reason;
  /**
   * A line as priced, with what earlier adjustments left of it.
   */
  export interface LineState {
    line: string,
    unitPrice: number,
    /**
     * Line total before any discount.
     */
    original: number,
    /**
     * What is left after earlier adjustments. Never negative.
     */
    remaining: number,
  }
  /**
   * Something already taken off by an earlier component.
   */
  export interface EarlierAdjustment {
    promotion: string,
    title: string,
    /**
     * None: shipping.
     */
    line?: string | null,
    /**
     * Positive: the amount taken off.
     */
    amount: number,
  }
  /**
   * A shipping choice, if it is known already.
   */
  export interface ShippingState {
    group: string,
    optionId: string,
    price: number,
  }
  export interface PromotionRequest {
    cart: Cart,
    lines: Array<LineState>,
    /**
     * Sum of the line totals before discounts.
     */
    subtotal: number,
    earlier: Array<EarlierAdjustment>,
    shipping: Array<ShippingState>,
    attributes: Attributes,
  }
  /**
   * Some units of a line.
   */
  export interface LineUnits {
    line: string,
    /**
     * 1 to the quantity of the line.
     */
    units: number,
  }
  /**
   * What a discount is taken from.
   */
  export type Target = TargetOrder | TargetLines | TargetShipping;
  /**
   * All goods of the cart, split over the lines by the merchant's allocation policy.
   */
  export interface TargetOrder {
    tag: 'order',
  }
  /**
   * These units of these lines.
   */
  export interface TargetLines {
    tag: 'lines',
    val: Array<LineUnits>,
  }
  /**
   * The shipping of one group, or of all groups when none is named.
   */
  export interface TargetShipping {
    tag: 'shipping',
    val: string | null,
  }
  /**
   * What a rate is a rate of.
   * # Variants
   *
   * ## `"original"`
   *
   * The price before any discount.
   * ## `"remaining"`
   *
   * What earlier and stronger discounts have left.
   */
  export type Base = 'original' | 'remaining';
  /**
   * How much is taken off.
   */
  export type Value = ValueAmount | ValueRate | ValueUnitPrice;
  /**
   * This amount over the whole target. Not negative.
   */
  export interface ValueAmount {
    tag: 'amount',
    val: number,
  }
  /**
   * This share of the base, in parts per million, 0 to 1,000,000.
   */
  export interface ValueRate {
    tag: 'rate',
    val: number,
  }
  /**
   * The difference down to this price for each unit of the target.
   */
  export interface ValueUnitPrice {
    tag: 'unit-price',
    val: number,
  }
  /**
   * A discount this component proposes.
   */
  export interface Candidate {
    /**
     * Id of the promotion, stable: uses are counted under it.
     */
    promotion: string,
    /**
     * The code that brought it, exactly as given in the cart.
     */
    code?: string | null,
    /**
     * It applies without a code.
     */
    automatic: boolean,
    /**
     * For the shopper: `Summer sale`.
     */
    title: string,
    /**
     * Higher goes first. Equal: order of the list.
     */
    priority: number,
    /**
     * Silences all candidates of lower priority.
     */
    exclusive: boolean,
    /**
     * Promotions it may be combined with; empty: any that is not exclusive.
     */
    combinesWith: Array<string>,
    base: Base,
    target: Target,
    value: Value,
    /**
     * Never more than this in sum.
     */
    cap?: number | null,
    /**
     * No unit of the target may cost less than this afterwards. What cannot be granted for
     * one line is offered again to the others of the target.
     */
    floorUnitPrice?: number | null,
    /**
     * Uses this application consumes of `uses-limit` and `customer-limit`. Usually 1.
     */
    uses: number,
    /**
     * Most uses over all customers. The host counts and holds them.
     */
    usesLimit?: number | null,
    /**
     * Most uses for one customer.
     */
    customerLimit?: number | null,
    reasons: Array<Reason>,
    attributes: Attributes,
  }
  /**
   * What a shopper would have to do for a promotion to apply.
   */
  export interface Missing {
    /**
     * `spend-more`, `add-units`, `add-product`, `join-group`, `wait`, …
     */
    code: string,
    /**
     * How much is missing: minor units, units or milliseconds, by the code.
     */
    quantity?: number | null,
    text: string,
  }
  /**
   * A promotion or a code that does not apply.
   */
  export interface Refusal {
    promotion?: string | null,
    /**
     * The code, exactly as given in the cart, if the shopper typed one.
     */
    code?: string | null,
    reason: Reason,
    missing: Array<Missing>,
  }
  export interface PromotionResult {
    /**
     * At most 10,000.
     */
    candidates: Array<Candidate>,
    /**
     * Every code of the cart that gave no candidate must be refused here, unless this
     * component does not know it at all.
     */
    refusals: Array<Refusal>,
    messages: Array<Message>,
    attributes: Attributes,
  }
}

declare module 'till:checkout/risk-rules@0.1.2' {
  /**
   * Says what this component is. Must not depend on the merchant.
   */
  export function describe(): ComponentInfo;
  /**
   * Judges a payment that is about to be made.
   */
  export function assess(ctx: CallContext, request: RiskRequest): RiskResult;
  export type Address = import('till:checkout/types@0.1.2').Address;
  export type Attributes = import('till:checkout/types@0.1.2').Attributes;
  export type CallContext = import('till:checkout/types@0.1.2').CallContext;
  export type Cart = import('till:checkout/types@0.1.2').Cart;
  export type ComponentError = import('till:checkout/types@0.1.2').ComponentError;
  export type ComponentInfo = import('till:checkout/types@0.1.2').ComponentInfo;
  export type Message = import('till:checkout/types@0.1.2').Message;
  export type Reason = import('till:checkout/types@0.1.2').Reason;
  /**
   * What the shopper did lately, counted by the host.
   */
  export interface History {
    /**
     * Confirmed orders ever.
     */
    orders: number,
    /**
     * What they came to, in minor units of the cart's currency.
     */
    spent: number,
    /**
     * When the first of them was confirmed.
     */
    firstOrderMs?: number | null,
    /**
     * Orders begun in the last hour, and in the last day, this one not counted.
     */
    orders1h: number,
    orders24h: number,
    /**
     * Payments declined in the last day.
     */
    declined24h: number,
    /**
     * Payments declined in this checkout.
     */
    declinedHere: number,
  }
  export interface RiskRequest {
    cart: Cart,
    /**
     * What is about to be paid.
     */
    total: number,
    shipping?: Address | null,
    billing?: Address | null,
    email: string,
    /**
     * Of the shopper's client. Empty: not known.
     */
    ip: string,
    /**
     * Means of payment: kind, brand and last digits, never a token.
     */
    methodKind: string,
    methodBrand: string,
    methodLast4: string,
    history: History,
    attributes: Attributes,
  }
  /**
   * # Variants
   *
   * ## `"approve"`
   *
   * Go on.
   * ## `"review"`
   *
   * A person of the merchant decides before money moves.
   * ## `"deny"`
   *
   * The payment is not tried.
   */
  export type Decision = 'approve' | 'review' | 'deny';
  export interface RiskResult {
    decision: Decision,
    /**
     * 0 harmless to 1000 certain fraud; for showing and for statistics.
     */
    score: number,
    /**
     * Why, for the merchant. A review or denial has at least one.
     */
    reasons: Array<Reason>,
    messages: Array<Message>,
    attributes: Attributes,
  }
}

declare module 'till:checkout/shipping-rates@0.1.2' {
  /**
   * Says what this component is. Must not depend on the merchant.
   */
  export function describe(): ComponentInfo;
  /**
   * Gives the options for each group.
   */
  export function rates(ctx: CallContext, request: RateRequest): RateResult;
  export type Address = import('till:checkout/types@0.1.2').Address;
  export type Attributes = import('till:checkout/types@0.1.2').Attributes;
  export type CallContext = import('till:checkout/types@0.1.2').CallContext;
  export type Cart = import('till:checkout/types@0.1.2').Cart;
  export type ComponentError = import('till:checkout/types@0.1.2').ComponentError;
  export type ComponentInfo = import('till:checkout/types@0.1.2').ComponentInfo;
  export type Dimensions = import('till:checkout/types@0.1.2').Dimensions;
  export type Message = import('till:checkout/types@0.1.2').Message;
  export type Reason = import('till:checkout/types@0.1.2').Reason;
  /**
   * A line, or some units of it, in a group.
   */
  export interface GroupLine {
    line: string,
    units: number,
    /**
     * Weight of one unit, in grams.
     */
    weightG: number,
    /**
     * What the shopper pays for these units after discounts.
     */
    value: number,
    tags: Array<string>,
  }
  /**
   * A parcel, if packing is known.
   */
  export interface Parcel {
    weightG: number,
    dimensions?: Dimensions | null,
    value: number,
  }
  /**
   * Goods that leave one place together for one destination.
   */
  export interface Group {
    id: string,
    lines: Array<GroupLine>,
    warehouse?: string | null,
    origin?: Address | null,
    destination?: Address | null,
    parcels: Array<Parcel>,
  }
  export interface RateRequest {
    cart: Cart,
    groups: Array<Group>,
    /**
     * Goods after discounts, for free-shipping limits.
     */
    goodsTotal: number,
    attributes: Attributes,
  }
  /**
   * A place where the shopper can collect the parcel.
   */
  export interface PickupPoint {
    id: string,
    name: string,
    address: Address,
  }
  /**
   * One way to ship one group.
   */
  export interface ShippingOption {
    /**
     * Stable for the same method and group, for example `standard`. Unique within its group.
     */
    id: string,
    /**
     * Id of the group in the request.
     */
    group: string,
    carrier: string,
    service: string,
    /**
     * For the shopper: `Standard, 3 to 5 days`.
     */
    title: string,
    /**
     * Not negative.
     */
    price: number,
    taxClass: string,
    /**
     * Earliest and latest arrival.
     */
    earliestMs?: number | null,
    latestMs?: number | null,
    pickup?: PickupPoint | null,
    /**
     * For example `signature`, `adult`.
     */
    constraints: Array<string>,
    /**
     * The price holds until then. None: as long as the quote.
     */
    expiresMs?: number | null,
    reasons: Array<Reason>,
    attributes: Attributes,
  }
  export interface RateResult {
    /**
     * At most 10,000. A group without an option cannot be shipped; a message should say why.
     */
    options: Array<ShippingOption>,
    messages: Array<Message>,
    attributes: Attributes,
  }
}

declare module 'till:checkout/tables@0.1.2' {
  /**
   * The value stored under `key`, or none. A table the binding does not have is empty.
   */
  export function lookup(table: string, key: string): string | null;
  /**
   * The values stored under many keys, in their order: one call for a cart instead of one for each line.
   * Since 0.1.1.
   */
  export function lookupMany(table: string, keys: Array<string>): Array<string | null>;
  /**
   * Why many values are not given at once.
   * # Variants
   *
   * ## `"too-many-keys"`
   *
   * More than 10,000 keys.
   * ## `"answer-too-large"`
   *
   * The values have more bytes in sum than a request may have (4 MiB by default).
   */
  export type TablesError = 'too-many-keys' | 'answer-too-large';
}

declare module 'till:checkout/tax-rules@0.1.2' {
  /**
   * Says what this component is. Must not depend on the merchant.
   */
  export function describe(): ComponentInfo;
  /**
   * Gives all taxes of a checkout.
   */
  export function calculate(ctx: CallContext, request: TaxRequest): TaxResult;
  export type Address = import('till:checkout/types@0.1.2').Address;
  export type Attributes = import('till:checkout/types@0.1.2').Attributes;
  export type CallContext = import('till:checkout/types@0.1.2').CallContext;
  export type ComponentError = import('till:checkout/types@0.1.2').ComponentError;
  export type ComponentInfo = import('till:checkout/types@0.1.2').ComponentInfo;
  export type Customer = import('till:checkout/types@0.1.2').Customer;
  export type LineKind = import('till:checkout/types@0.1.2').LineKind;
  export type Message = import('till:checkout/types@0.1.2').Message;
  export type Reason = import('till:checkout/types@0.1.2').Reason;
  /**
   * A line after all discounts.
   */
  export interface TaxableLine {
    line: string,
    product: string,
    sku: string,
    kind: LineKind,
    taxClass: string,
    quantity: number,
    /**
     * What is charged for the line after discounts, points excluded if the merchant says so.
     */
    net: number,
    /**
     * `net` includes tax.
     */
    includesTax: boolean,
    shipFrom?: Address | null,
  }
  /**
   * Shipping of one group after discounts.
   */
  export interface TaxableShipping {
    group: string,
    optionId: string,
    taxClass: string,
    net: number,
    includesTax: boolean,
  }
  export interface TaxRequest {
    shipFrom?: Address | null,
    /**
     * None while the shopper has given no address: answer without entries or with an estimate.
     */
    shipTo?: Address | null,
    billTo?: Address | null,
    customer?: Customer | null,
    lines: Array<TaxableLine>,
    shipping: Array<TaxableShipping>,
    attributes: Attributes,
  }
  /**
   * What a tax is on.
   */
  export type AppliesTo = AppliesToLine | AppliesToShipping;
  export interface AppliesToLine {
    tag: 'line',
    val: string,
  }
  /**
   * Id of the group.
   */
  export interface AppliesToShipping {
    tag: 'shipping',
    val: string,
  }
  /**
   * One tax on one line or one group's shipping.
   */
  export interface TaxEntry {
    appliesTo: AppliesTo,
    /**
     * For example `US-CA-SF`.
     */
    jurisdiction: string,
    /**
     * For people: `Sales tax`.
     */
    name: string,
    /**
     * For example `sales`, `vat`, `gst`.
     */
    kind: string,
    /**
     * The amount the tax is computed on. Not above the net amount.
     */
    taxable: number,
    /**
     * In parts per million, 0 to 1,000,000. Needed where `amount` is none.
     */
    rate?: number | null,
    /**
     * The tax itself, where a service computed it. None: the host computes and rounds.
     */
    amount?: number | null,
    /**
     * The tax is contained in the net amount and is not added to it.
     */
    included: boolean,
    reasons: Array<Reason>,
  }
  export interface TaxResult {
    /**
     * At most 10,000.
     */
    entries: Array<TaxEntry>,
    messages: Array<Message>,
    attributes: Attributes,
  }
}

declare module 'till:checkout/types@0.1.2' {
  /**
   * Name and value pairs. Names are unique within a list; unknown names are ignored.
   */
  export type Attributes = Array<[string, string]>;
  /**
   * An amount with its currency. Used where money moves (payment worlds).
   */
  export interface Money {
    /**
     * Minor units, for example cents. May be negative only where a field says so.
     */
    minor: number,
    /**
     * ISO 4217 code in capitals, for example `USD`.
     */
    currency: string,
  }
  /**
   * What a message is.
   * # Variants
   *
   * ## `"error"`
   *
   * Something is wrong and the checkout cannot be completed until it is mended.
   * ## `"warning"`
   *
   * Something is not as the shopper might expect, for example a code that was refused.
   * ## `"info"`
   *
   * Good to know.
   */
  export type MessageKind = 'error' | 'warning' | 'info';
  /**
   * Who can mend what a message speaks of.
   * # Variants
   *
   * ## `"recoverable"`
   *
   * The client can mend it by another call, without asking anybody.
   * ## `"needs-buyer-input"`
   *
   * The buyer must type or choose something.
   * ## `"needs-buyer-review"`
   *
   * The buyer must look at it and agree.
   * ## `"final"`
   *
   * Nobody can mend it in this checkout.
   */
  export type Severity = 'recoverable' | 'needs-buyer-input' | 'needs-buyer-review' | 'final';
  /**
   * A message to the shopper or the merchant, as data.
   */
  export interface Message {
    kind: MessageKind,
    severity: Severity,
    /**
     * Stable and machine readable, lowercase with hyphens: `code-expired`.
     */
    code: string,
    /**
     * What it is about, as a JSON path into the cart: `$.lines[?id=='L1']`, `$.codes[0]`.
     */
    path?: string | null,
    /**
     * For people, in the locale of the context.
     */
    text: string,
    attributes: Attributes,
  }
  /**
   * Comes with every call.
   */
  export interface CallContext {
    /**
     * The merchant for whom the component is called.
     */
    merchant: string,
    /**
     * Sales channel, for example `web`.
     */
    channel: string,
    /**
     * BCP 47, for example `en-US`. Texts are answered in it where the component can.
     */
    locale: string,
    /**
     * ISO 4217 code of the cart. All bare amounts of the call are in its minor units.
     */
    currency: string,
    /**
     * Digits after the point of that currency: JPY 0, USD 2, KWD 3.
     */
    exponent: number,
    /**
     * The time of the call, fixed for all calls of one step, also when it is run again.
     */
    nowMs: number,
    /**
     * The workflow instance. Empty when a component is tested alone.
     */
    instance: string,
    /**
     * The step that calls, for example `pricing.quote`.
     */
    step: string,
    /**
     * How often this state was entered, from 1.
     */
    entry: number,
    /**
     * How often this entry was tried, from 1.
     */
    attempt: number,
    /**
     * True when no real money may move.
     */
    testMode: boolean,
    /**
     * The merchant's configuration of this binding: JSON that matches the schema given by
     * `describe`. `{}` when there is none.
     */
    config: string,
    attributes: Attributes,
  }
  /**
   * What a component says of itself. Asked once at upload.
   */
  export interface ComponentInfo {
    /**
     * For people: `Summer promotions`.
     */
    name: string,
    /**
     * The component's own version, for example `1.4.0`.
     */
    version: string,
    /**
     * JSON Schema (2020-12) that `config` must match. `{}` accepts anything.
     */
    configSchema: string,
    /**
     * Optional abilities of this world, for example `free-shipping`; each world lists its own.
     */
    capabilities: Array<string>,
    attributes: Attributes,
  }
  /**
   * Where and why a component could not answer.
   */
  export interface ErrorDetail {
    /**
     * Stable and machine readable, lowercase with hyphens.
     */
    code: string,
    /**
     * JSON path into the request or the config, where it is about one place.
     */
    path?: string | null,
    /**
     * For the merchant's engineer.
     */
    text: string,
    /**
     * The host may try again after this many milliseconds. None: trying again will not help.
     */
    retryAfterMs?: number | null,
    attributes: Attributes,
  }
  /**
   * Why a component could not answer.
   */
  export type ComponentError = ComponentErrorInvalidConfig | ComponentErrorInvalidInput | ComponentErrorUnavailable | ComponentErrorInternal;
  /**
   * The configuration of the binding is wrong.
   */
  export interface ComponentErrorInvalidConfig {
    tag: 'invalid-config',
    val: ErrorDetail,
  }
  /**
   * The request cannot be handled, for example a currency without a price list.
   */
  export interface ComponentErrorInvalidInput {
    tag: 'invalid-input',
    val: ErrorDetail,
  }
  /**
   * Something the component needs is not there now (a table, a remote service).
   */
  export interface ComponentErrorUnavailable {
    tag: 'unavailable',
    val: ErrorDetail,
  }
  /**
   * A fault of the component itself.
   */
  export interface ComponentErrorInternal {
    tag: 'internal',
    val: ErrorDetail,
  }
  /**
   * One line of a decision trace: why an amount is what it is.
   */
  export interface Reason {
    /**
     * Stable and machine readable: `quantity-tier`.
     */
    code: string,
    /**
     * For people: `10 or more: 8.50 each`.
     */
    text: string,
  }
  /**
   * A postal address. Unknown parts are empty.
   */
  export interface Address {
    name: string,
    company: string,
    /**
     * Street lines, first line first.
     */
    street: Array<string>,
    city: string,
    /**
     * State, province or region, as its usual short code: `CA`.
     */
    region: string,
    postalCode: string,
    /**
     * ISO 3166-1 alpha-2 in capitals: `US`.
     */
    country: string,
    phone: string,
    attributes: Attributes,
  }
  /**
   * What is sold.
   * # Variants
   *
   * ## `"physical"`
   *
   * ## `"digital"`
   *
   * ## `"gift-card"`
   *
   * ## `"service"`
   */
  export type LineKind = 'physical' | 'digital' | 'gift-card' | 'service';
  /**
   * Outer size of one unit, in millimetres.
   */
  export interface Dimensions {
    lengthMm: number,
    widthMm: number,
    heightMm: number,
  }
  /**
   * One line of the cart.
   */
  export interface Line {
    /**
     * Made by the host, stable for the life of the cart.
     */
    id: string,
    product: string,
    variant?: string | null,
    sku: string,
    title: string,
    /**
     * At least 1.
     */
    quantity: number,
    kind: LineKind,
    /**
     * The line this one belongs to (a warranty, a part of a bundle).
     */
    parent?: string | null,
    /**
     * Price of one unit in the catalog.
     */
    catalogPrice: number,
    /**
     * What one unit is said to have cost before, for showing only.
     */
    compareAt?: number | null,
    /**
     * Catalog prices of this line include tax.
     */
    priceIncludesTax: boolean,
    /**
     * For example `standard`, `reduced`, `zero`.
     */
    taxClass: string,
    /**
     * Weight of one unit, in grams.
     */
    weightG: number,
    dimensions?: Dimensions | null,
    categories: Array<string>,
    tags: Array<string>,
    /**
     * Where it will be taken from, if it is known.
     */
    warehouse?: string | null,
    /**
     * Shipping group, if it is known.
     */
    group?: string | null,
    attributes: Attributes,
  }
  /**
   * A reason not to pay tax.
   */
  export interface TaxExemption {
    /**
     * Number of the certificate.
     */
    id: string,
    /**
     * Where it holds; none: everywhere.
     */
    jurisdiction?: string | null,
  }
  /**
   * The buyer, as far as prices may depend on them.
   */
  export interface Customer {
    id: string,
    groups: Array<string>,
    /**
     * Loyalty tier, for example `gold`.
     */
    tier?: string | null,
    tags: Array<string>,
    /**
     * Confirmed orders so far.
     */
    ordersCount: number,
    taxExemptions: Array<TaxExemption>,
    attributes: Attributes,
  }
  /**
   * A code the shopper typed, with what the host knows of it.
   */
  export interface Code {
    /**
     * As typed, without blanks around it.
     */
    code: string,
    /**
     * Uses left over all customers; none: the host keeps no count for it.
     */
    usesLeft?: number | null,
    /**
     * Uses left for this customer.
     */
    customerUsesLeft?: number | null,
  }
  /**
   * What the shopper wants to buy.
   */
  export interface Cart {
    id: string,
    lines: Array<Line>,
    customer?: Customer | null,
    codes: Array<Code>,
    attributes: Attributes,
  }
}
