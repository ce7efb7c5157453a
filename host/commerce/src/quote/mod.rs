//! The pricing pipeline: from [`Inputs`] to a [`Quote`] that adds up.
//!
//! Six stages, each a recorded step of a workflow: [`price`], [`promotions`] (goods), [`points`],
//! [`shipping`] (rates, chosen option, promotions on shipping), [`tax`], [`total`]. Where a component
//! is asked, a stage has two halves, `build_request` and `apply_result`, both plain functions over
//! values: the caller makes the call between them. The host checks every answer against named
//! invariants ([`BrokenPromise`]), arbitrates between promotions, splits, rounds and adds up.
//!
//! A stage clears what it and the later stages wrote before, so a stage can be run again at any time.
//! The quote keeps each fact once; signed [`Entry`] lists, [`requirements`] and the [`Quote::token`]
//! are computed from the facts.

mod arbitrate;
mod entries;
mod inputs;
pub mod points;
pub mod price;
mod promise;
pub mod promotions;
mod requirements;
pub mod shipping;
pub mod tax;
#[cfg(test)]
mod tests;
pub mod total;
mod trace;

use serde::{Deserialize, Serialize};
use till_model::id::Digest;
use till_model::money::{Allocation, Currency, Money, Rounding, TaxRounding};
use till_sandbox::wit::promotion as wit_promotion;

use crate::gift_card::GiftCardPart;
use crate::settings::{Settings, TierBenefit};

pub(crate) use arbitrate::budget_used_up;
pub use entries::{Entry, EntryKind};
pub use inputs::{
    Address, CampaignInput, CodeInput, CustomerInput, InputError, Inputs, Kind, LineInput,
    PaymentMethodInput, UsesInput,
};
pub use promise::{BrokenPromise, ITEMS_MAX, Rule};
pub use requirements::{Requirement, Who, requirements, unpriced};
pub use trace::{Message, MessageKind, Missing, Reason, Severity, TraceEntry, What};

/// Version of the persisted form of [`Quote`].
pub const QUOTE_FORMAT: u8 = 1;

/// Name under which the host itself appears where a component's name stands otherwise.
pub const HOST: &str = "till";

/// The stages in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What each line costs.
    Price,
    /// Promotions on goods.
    Promotions,
    /// Loyalty points.
    Points,
    /// Shipping options and promotions on shipping.
    Shipping,
    /// Taxes.
    Tax,
    /// Sums and checks.
    Total,
}

/// A component that took part, by its pinned digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// For people.
    pub name: String,
    /// Digest of the component with its configuration, as it is pinned.
    pub digest: String,
}

/// A component and the stage it answered in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedBy {
    /// The stage.
    pub stage: Stage,
    /// Name of the component.
    pub name: String,
    /// Its pinned digest.
    pub digest: String,
}

/// The merchant's policies that shaped the amounts: part of the receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policies {
    /// How exact products become minor units.
    pub rounding: Rounding,
    /// How amounts are split over lines.
    pub allocation: Allocation,
    /// Where tax is rounded.
    pub tax_rounding: TaxRounding,
    /// Shipping is taxed.
    pub tax_on_shipping: bool,
    /// Shipping prices include tax.
    pub shipping_includes_tax: bool,
    /// Points can be used and are earned.
    pub points_enabled: bool,
    /// Worth of one point, minor units.
    pub minor_per_point: u32,
    /// Points for each whole step of the total.
    pub earned_per_major: u32,
    /// Major units of a step.
    #[serde(default = "crate::settings::one", skip_serializing_if = "is_one")]
    pub earning_step: u32,
    /// Points lower the amount that is taxed.
    pub points_reduce_tax: bool,
    /// What the buyer's tier takes off, where the merchant applies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierBenefit>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(step: &u32) -> bool {
    *step == 1
}

/// A priced cart. Amounts are minor units of `currency`; filled stage by stage.
///
/// `Serialize` is the persisted form, part of the instance's context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Version of this form.
    pub format: u8,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Time of the inputs it was made from, milliseconds.
    pub now_ms: u64,
    /// Policies that shaped the amounts.
    pub policies: Policies,
    /// Components that took part, in their order.
    pub priced_by: Vec<PricedBy>,
    /// One for each line of the inputs, in their order.
    pub lines: Vec<QuoteLine>,
    /// Proposed discounts that are still needed: all until points, then those on shipping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
    /// What is taken off, in order of application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Goods that leave one place together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipping: Vec<ShippingGroup>,
    /// Every tax on every line and group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// Sums; none until the last stage ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// What gift cards pay of the total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gift_cards: Vec<GiftCardPart>,
    /// What people should know beside the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// Why the amounts are what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceEntry>,
}

/// A line with its amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteLine {
    /// Id of the line in the inputs.
    pub id: String,
    /// Units.
    pub quantity: u32,
    /// Price of one unit, for showing.
    pub unit_price: i64,
    /// Price of the line before discounts. Zero where it is unavailable.
    pub total: i64,
    /// The price includes tax.
    #[serde(default, skip_serializing_if = "is_default")]
    pub includes_tax: bool,
    /// What promotions took off. Not negative.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discount: i64,
    /// What points took off. Not negative.
    #[serde(default, skip_serializing_if = "is_default")]
    pub points: i64,
    /// Tax added to the line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tax: i64,
    /// Tax contained in the line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tax_included: i64,
    /// What one unit is said to have cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at: Option<i64>,
    /// Price list that gave the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_list: Option<String>,
    /// Quantity tier that gave the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Why it cannot be sold now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<Reason>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl QuoteLine {
    /// What is left to pay for the goods of this line, before tax is added.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.total - self.discount - self.points
    }

    /// What is paid for this line in the end.
    #[must_use]
    pub fn payable(&self) -> i64 {
        self.net().saturating_add(self.tax)
    }
}

/// A proposed discount and who proposed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Name of the component.
    pub by: String,
    /// It was chosen by arbitration.
    pub accepted: bool,
    /// As the component gave it.
    pub candidate: wit_promotion::Candidate,
}

/// What a discount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// A promotion of a component.
    Promotion,
    /// A benefit of the buyer's tier.
    TierBenefit,
    /// Points that were used.
    LoyaltyPoints,
}

/// Something taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// Unique in the quote, stable while the same promotion applies: `promotion` or `promotion#2`.
    pub id: String,
    /// Where it comes from.
    pub kind: DiscountKind,
    /// Name of the component, or [`HOST`].
    pub by: String,
    /// Id of the promotion; `points` for points.
    pub promotion: String,
    /// The code that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// It applies without a code.
    pub automatic: bool,
    /// For the shopper.
    pub title: String,
    /// Higher went first.
    pub priority: i32,
    /// In sum. Above zero.
    pub amount: i64,
    /// Its parts by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Share>,
    /// Its parts by shipping group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipping: Vec<Share>,
    /// Points it uses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub points: u64,
    /// Uses it consumes of the limits.
    pub uses: u32,
    /// Most uses over all customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_limit: Option<u64>,
    /// Most uses for one customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_limit: Option<u64>,
}

/// A part of a discount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Id of the line or of the group.
    pub of: String,
    /// Above zero.
    pub amount: i64,
}

/// Goods that leave one place together for one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingGroup {
    /// `ship`, or `ship-` and the warehouse.
    pub id: String,
    /// Where the goods leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    /// Ids of its lines.
    pub lines: Vec<String>,
    /// Ways to ship it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<ShippingOption>,
    /// Id of the chosen one, if it is among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<String>,
    /// Tax added to the shipping.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tax: i64,
    /// Tax contained in the shipping.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tax_included: i64,
}

impl ShippingGroup {
    /// The chosen option.
    #[must_use]
    pub fn selected_option(&self) -> Option<&ShippingOption> {
        let selected = self.selected.as_ref()?;
        self.options.iter().find(|option| option.id == *selected)
    }
}

/// One way to ship a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingOption {
    /// Unique within its group: `standard`.
    pub id: String,
    /// Carrier.
    pub carrier: String,
    /// Service of the carrier.
    pub service: String,
    /// For the shopper.
    pub title: String,
    /// Gross price, before promotions on shipping.
    pub price: i64,
    /// What promotions take off when it is chosen. Not above `price`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discount: i64,
    /// Tax class.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tax_class: String,
    /// Earliest arrival, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_ms: Option<u64>,
    /// Latest arrival, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_ms: Option<u64>,
    /// The price holds until then, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// For example `signature`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Where the shopper collects it: id, name and address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickup: Option<PickupPoint>,
}

/// A place where the shopper can collect the parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickupPoint {
    /// Id given by the component.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where it is.
    pub address: Address,
}

/// What a tax is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaxedItem {
    /// A line, by its id.
    Line(String),
    /// Shipping of a group, by its id.
    Shipping(String),
}

/// One tax on one line or one group's shipping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// What it is on.
    pub on: TaxedItem,
    /// For example `US-CA-SF`.
    pub jurisdiction: String,
    /// For people.
    pub name: String,
    /// For example `sales`.
    pub kind: String,
    /// What it is computed on.
    pub taxable: i64,
    /// In parts per million, where it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// The tax. Not negative.
    pub amount: i64,
    /// Contained in the price, not added.
    #[serde(default, skip_serializing_if = "is_default")]
    pub included: bool,
}

/// Sums of a quote: `subtotal − discounts + shipping + tax = total`, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Lines before discounts.
    pub subtotal: i64,
    /// Everything taken off, shipping promotions and points included. Not negative.
    pub discounts: i64,
    /// Gross price of the chosen shipping options.
    pub shipping: i64,
    /// Tax added.
    pub tax: i64,
    /// Tax contained in the prices; not added.
    pub tax_included: i64,
    /// What is to be paid.
    pub total: i64,
    /// Points that the order uses.
    pub points_used: u64,
    /// Points that the order earns when it is confirmed.
    pub points_earned: u64,
}

impl Quote {
    /// An empty quote for these inputs, with the merchant's policies.
    #[must_use]
    pub fn new(settings: &Settings, inputs: &Inputs) -> Quote {
        let tier = inputs.customer.as_ref().and_then(|customer| customer.tier.as_deref());
        let benefits = &settings.tier_benefits;
        Quote {
            format: QUOTE_FORMAT,
            currency: inputs.currency,
            now_ms: inputs.now_ms,
            policies: Policies {
                rounding: settings.rounding,
                allocation: settings.allocation,
                tax_rounding: settings.tax_rounding,
                tax_on_shipping: settings.tax_on_shipping,
                shipping_includes_tax: settings.prices_include_tax,
                points_enabled: settings.points.enabled,
                minor_per_point: settings.points.minor_per_point,
                earned_per_major: settings.points.earned_per_major,
                earning_step: settings.points.earning_step,
                points_reduce_tax: settings.points.reduce_tax,
                tier: tier.filter(|_| benefits.applied).and_then(|tier| benefits.tiers.get(tier)).copied(),
            },
            priced_by: Vec::new(),
            lines: Vec::new(),
            offers: Vec::new(),
            discounts: Vec::new(),
            shipping: Vec::new(),
            taxes: Vec::new(),
            totals: None,
            gift_cards: Vec::new(),
            messages: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// An amount of this quote with its currency.
    #[must_use]
    pub fn money(&self, minor: i64) -> Money {
        Money::from_minor(minor, self.currency)
    }

    /// What is left to be paid when the gift cards have paid, once the last stage ran.
    #[must_use]
    pub fn due(&self) -> Option<Money> {
        let by_card = self.gift_cards.iter().map(|part| part.amount).fold(0, i64::saturating_add);
        self.totals.map(|totals| self.money(totals.total.saturating_sub(by_card)))
    }

    /// What is to be paid, once the last stage ran.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        self.totals.map(|totals| self.money(totals.total))
    }

    /// The line of that id.
    #[must_use]
    pub fn line(&self, id: &str) -> Option<&QuoteLine> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// Goods after promotions and points.
    ///
    /// # Errors
    /// The rule `overflow`.
    pub fn goods_total(&self) -> Result<i64, BrokenPromise> {
        promise::sum(self.lines.iter().map(QuoteLine::net))
    }

    /// A binding was left out by its failure policy `omit`: said to the shopper and in the trace. To be
    /// called after the stage ran, because a stage clears what it said before.
    pub fn note_omitted(&mut self, stage: Stage, component: &Component, why: &str) {
        let text = format!("{} could not be used: {why}", component.name);
        self.say(
            stage,
            Message::new(
                &component.name,
                MessageKind::Warning,
                Severity::NeedsBuyerReview,
                "component-omitted",
                &text,
            ),
        );
        let reason = Reason { code: "omitted".to_owned(), text: trace::cut(why) };
        self.note(TraceEntry::new(stage, &component.name, What::Omitted).because(vec![reason]));
    }

    /// Another component answered for this one, by its failure policy `fallback`: said in the trace. To be called
    /// after the stage ran.
    pub fn note_fell_back(&mut self, stage: Stage, component: &Component, why: &str) {
        let reason = Reason { code: "fell-back".to_owned(), text: trace::cut(why) };
        self.note(TraceEntry::new(stage, &component.name, What::FellBack).because(vec![reason]));
    }

    /// Names the priced cart: SHA-256 over every amount, choice and policy, and over the digests that
    /// priced it. Time, texts and trace do not count, so the same price has the same token.
    #[must_use]
    pub fn token(&self) -> Digest {
        #[derive(Serialize)]
        struct Off<'a> {
            id: &'a str,
            code: Option<&'a str>,
            points: u64,
            lines: &'a [Share],
            shipping: &'a [Share],
        }
        #[derive(Serialize)]
        struct Chosen<'a> {
            group: &'a str,
            lines: &'a [String],
            option: Option<&'a str>,
            price: i64,
        }
        #[derive(Serialize)]
        struct Priced<'a> {
            format: u8,
            currency: Currency,
            policies: &'a Policies,
            priced_by: Vec<(Stage, &'a str)>,
            lines: &'a [QuoteLine],
            discounts: Vec<Off<'a>>,
            shipping: Vec<Chosen<'a>>,
            taxes: &'a [Tax],
            totals: Option<Totals>,
            #[serde(skip_serializing_if = "<[GiftCardPart]>::is_empty")]
            gift_cards: &'a [GiftCardPart],
        }
        let priced = Priced {
            format: self.format,
            currency: self.currency,
            policies: &self.policies,
            priced_by: self.priced_by.iter().map(|by| (by.stage, by.digest.as_str())).collect(),
            lines: &self.lines,
            discounts: self
                .discounts
                .iter()
                .map(|off| Off {
                    id: &off.id,
                    code: off.code.as_deref(),
                    points: off.points,
                    lines: &off.lines,
                    shipping: &off.shipping,
                })
                .collect(),
            shipping: self
                .shipping
                .iter()
                .map(|group| Chosen {
                    group: &group.id,
                    lines: &group.lines,
                    option: group.selected.as_deref(),
                    price: group.selected_option().map_or(0, |option| option.price),
                })
                .collect(),
            taxes: &self.taxes,
            totals: self.totals,
            gift_cards: &self.gift_cards,
        };
        Digest::of(&serde_json::to_vec(&priced).expect("text, numbers and lists always become JSON"))
    }

    /// Forgets what `stage` and later stages wrote.
    fn reset_from(&mut self, stage: Stage) {
        self.priced_by.retain(|by| by.stage < stage);
        self.messages.retain(|message| message.stage < stage);
        self.trace.retain(|entry| entry.stage < stage);
        self.totals = None;
        self.gift_cards.clear();
        if stage <= Stage::Price {
            self.lines.clear();
        }
        if stage <= Stage::Promotions {
            self.offers.clear();
            self.discounts.clear();
            self.lines.iter_mut().for_each(|line| line.discount = 0);
        }
        if stage <= Stage::Points {
            self.discounts.retain(|off| off.kind != DiscountKind::LoyaltyPoints);
            self.lines.iter_mut().for_each(|line| line.points = 0);
        }
        if stage <= Stage::Shipping {
            self.shipping.clear();
            self.discounts.retain(|off| off.shipping.is_empty());
        }
        if stage <= Stage::Tax {
            self.taxes.clear();
            for line in &mut self.lines {
                (line.tax, line.tax_included) = (0, 0);
            }
            for group in &mut self.shipping {
                (group.tax, group.tax_included) = (0, 0);
            }
        }
    }

    fn took_part(&mut self, stage: Stage, by: &Component) {
        self.priced_by.push(PricedBy { stage, name: by.name.clone(), digest: by.digest.clone() });
    }
}
