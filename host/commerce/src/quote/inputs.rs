//! What a quote is computed from: the client's inputs and the snapshots taken for them.
//!
//! Nothing here is computed by the pipeline. A change replaces the whole record; everything in
//! [`super::Quote`] is then computed again from it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use till_model::money::Currency;
use till_sandbox::wit::types as wit;

use super::{Quote, Reason};
use crate::address;
use crate::gift_card::{CARDS_MAX, GiftCardInput};
use crate::inventory::choose::{Part, places};
use crate::settings::CartLimits;

/// Everything a quote depends on. Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Id of the cart.
    pub cart: String,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Time of the quote, milliseconds since the Unix epoch.
    #[serde(default)]
    pub now_ms: u64,
    /// What the shopper wants to buy, with the catalog's words about it.
    #[serde(default)]
    pub lines: Vec<LineInput>,
    /// The buyer, as far as prices may depend on them. None: a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerInput>,
    /// Codes the shopper typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<CodeInput>,
    /// Uses so far of promotions that are counted, by promotion id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promotion_uses: BTreeMap<String, UsesInput>,
    /// Campaigns, with what they may still give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub campaigns: Vec<CampaignInput>,
    /// Loyalty points the shopper wants to use.
    #[serde(default)]
    pub points_to_use: u64,
    /// Gift cards that pay, in the shopper's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gift_cards: Vec<GiftCardInput>,
    /// Where the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// Id of the shipping option chosen for every group: `standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_option: Option<String>,
    /// Choices for single groups, by group id; they go before `shipping_option`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shipping_options: BTreeMap<String, String>,
    /// How the shopper wants to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethodInput>,
    /// For the merchant, from the shopper.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Addresses of warehouses, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warehouses: BTreeMap<String, Address>,
}

/// One line of the cart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineInput {
    /// Made by the host, stable for the life of the cart.
    pub id: String,
    /// Id of the product.
    pub product: String,
    /// Id of the variant, where the product has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Stock keeping unit.
    pub sku: String,
    /// For people.
    pub title: String,
    /// Units, at least 1.
    pub quantity: u32,
    /// What is sold.
    #[serde(default)]
    pub kind: Kind,
    /// The line this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Price of one unit in the catalog.
    pub catalog_price: i64,
    /// What one unit is said to have cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at: Option<i64>,
    /// The catalog price includes tax.
    #[serde(default, skip_serializing_if = "is_false")]
    pub includes_tax: bool,
    /// For example `standard`.
    #[serde(default = "standard", skip_serializing_if = "is_standard")]
    pub tax_class: String,
    /// Weight of one unit, in grams.
    #[serde(default)]
    pub weight_g: u32,
    /// Length, width and height of one unit, in millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mm: Option<[u32; 3]>,
    /// Catalog categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Catalog tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it will be taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    /// Where its units will be taken from, where that is more than one warehouse; `warehouse` is the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Units that could be held when the snapshot was taken. None: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// Not for sale any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
    /// Name and value pairs for components.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn standard() -> String {
    "standard".to_owned()
}

fn is_standard(class: &str) -> bool {
    class == "standard"
}

/// What is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Must be shipped.
    #[default]
    Physical,
    /// A download or a licence.
    Digital,
    /// Money on a card.
    GiftCard,
    /// Work.
    Service,
}

/// The buyer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerInput {
    /// Id of the customer.
    pub id: String,
    /// Customer groups, for price lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Loyalty tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Confirmed orders so far.
    #[serde(default)]
    pub orders_count: u32,
    /// Loyalty points that can be used now.
    #[serde(default)]
    pub points_balance: u64,
    /// Numbers of tax exemption certificates, each with the jurisdiction where it holds, if limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tax_exemptions: Vec<(String, Option<String>)>,
}

/// A code, with what the host knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeInput {
    /// What the shopper typed, where it is a code of its own that stands for `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed: Option<String>,
    /// The host refuses it, with this reason: no component is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// As typed, without blanks around it.
    pub code: String,
    /// Uses left over all customers. None: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Uses left for this customer. None: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_uses_left: Option<u64>,
}

impl CodeInput {
    /// A code of which the host knows nothing.
    #[must_use]
    pub fn new(code: &str) -> CodeInput {
        CodeInput {
            code: code.to_owned(),
            typed: None,
            refused: None,
            uses_left: None,
            customer_uses_left: None,
        }
    }

    /// As the shopper knows it.
    #[must_use]
    pub fn typed(&self) -> &str {
        self.typed.as_deref().unwrap_or(&self.code)
    }
}

/// A campaign as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignInput {
    /// Id.
    pub id: String,
    /// Promotions it covers.
    pub promotions: Vec<String>,
    /// Why it gives nothing now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// What it may still take off, minor units; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<i64>,
    /// Its amounts are in another currency than the cart's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

/// Uses of a promotion so far, holds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsesInput {
    /// Over all customers.
    pub total: u64,
    /// By this customer.
    pub customer: u64,
}

/// A tokenised means of payment. Never a card number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentMethodInput {
    /// Id in the customer's wallet.
    pub id: String,
    /// For example `credit_card`.
    #[serde(default)]
    pub kind: String,
    /// For showing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last4: String,
    /// For showing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub brand: String,
    /// Last month in which it can be used, where that is known: `2027-09`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A postal address. Unknown parts are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Address {
    /// Of the person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of the company.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub company: String,
    /// Street lines, first line first.
    pub street: Vec<String>,
    /// City.
    pub city: String,
    /// State, province or region, as its short code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Postal code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 in capitals.
    pub country: String,
    /// Phone number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phone: String,
}

impl Address {
    /// The same address in the contract's words.
    #[must_use]
    pub fn to_wit(&self) -> wit::Address {
        wit::Address {
            name: self.name.clone(),
            company: self.company.clone(),
            street: self.street.clone(),
            city: self.city.clone(),
            region: self.region.clone(),
            postal_code: self.postal_code.clone(),
            country: self.country.clone(),
            phone: self.phone.clone(),
            attributes: Vec::new(),
        }
    }

    /// Names of the parts that an address of its country needs and this one lacks.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let faults = address::faults(self).into_iter();
        faults.filter(|fault| fault.missing || fault.part == "country").map(|fault| fault.part).collect()
    }
}

/// Why inputs cannot be quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// More of something than the merchant allows.
    #[error("accept `{field}` with {found}: at most {max}")]
    TooMany {
        /// Path of the field.
        field: String,
        /// What was given.
        found: u64,
        /// The limit of the merchant's settings.
        max: u64,
    },
    /// A quantity of zero.
    #[error("accept `{field}`: at least 1 unit")]
    NoUnits {
        /// Path of the field.
        field: String,
    },
    /// Two lines or codes with one id.
    #[error("accept `{field}` twice")]
    Twice {
        /// Path of the second.
        field: String,
    },
    /// A price below zero.
    #[error("accept `{field}`: a price is not negative")]
    NegativePrice {
        /// Path of the field.
        field: String,
    },
}

impl Inputs {
    /// Checks sizes and ids against the merchant's limits.
    ///
    /// # Errors
    /// The first rule that does not hold, with the path of the field.
    pub fn check(&self, limits: &CartLimits) -> Result<(), InputError> {
        let within = |field: &str, found: usize, max: u32| {
            let (found, max) = (found as u64, u64::from(max));
            if found > max {
                return Err(InputError::TooMany { field: field.to_owned(), found, max });
            }
            Ok(())
        };
        within("$.lines", self.lines.len(), limits.lines_max)?;
        within("$.codes", self.codes.len(), limits.codes_max)?;
        within("$.gift_cards", self.gift_cards.len(), CARDS_MAX as u32)?;
        within("$.notes", self.notes.chars().count(), limits.notes_chars_max)?;
        let mut ids = HashSet::new();
        for line in &self.lines {
            let field = line_path(&line.id);
            if !ids.insert(line.id.as_str()) {
                return Err(InputError::Twice { field });
            }
            if line.quantity == 0 {
                return Err(InputError::NoUnits { field: field + ".quantity" });
            }
            if line.quantity > limits.quantity_max {
                let (found, max) = (u64::from(line.quantity), u64::from(limits.quantity_max));
                return Err(InputError::TooMany { field: field + ".quantity", found, max });
            }
            if line.catalog_price < 0 {
                return Err(InputError::NegativePrice { field: field + ".catalog_price" });
            }
        }
        let mut codes = HashSet::new();
        match self.codes.iter().position(|code| !codes.insert(code.code.as_str())) {
            Some(index) => Err(InputError::Twice { field: format!("$.codes[{index}]") }),
            None => Ok(()),
        }
    }

    /// A code of the quote as the shopper typed it.
    #[must_use]
    pub fn typed<'a>(&'a self, code: &'a str) -> &'a str {
        self.codes.iter().find(|input| input.code == code).map_or(code, CodeInput::typed)
    }

    /// The line of that id.
    #[must_use]
    pub fn line(&self, id: &str) -> Option<&LineInput> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// Id of the option chosen for a group.
    #[must_use]
    pub fn option_for(&self, group: &str) -> Option<&str> {
        self.shipping_options.get(group).or(self.shipping_option.as_ref()).map(String::as_str)
    }

    /// The cart in the contract's words; with a quote, without the lines that cannot be sold.
    pub(crate) fn to_wit(&self, quote: Option<&Quote>) -> wit::Cart {
        let made = |index: usize| quote.and_then(|quote| quote.lines.get(index));
        let sold = |index: usize| made(index).is_none_or(|line| line.unavailable.is_none());
        wit::Cart {
            id: self.cart.clone(),
            lines: self
                .lines
                .iter()
                .enumerate()
                .filter(|(index, _)| sold(*index))
                .map(|(_, line)| line.to_wit())
                .collect(),
            customer: self.customer.as_ref().map(CustomerInput::to_wit),
            codes: self
                .codes
                .iter()
                .filter(|code| code.refused.is_none())
                .map(|code| wit::Code {
                    code: code.code.clone(),
                    uses_left: code.uses_left,
                    customer_uses_left: code.customer_uses_left,
                })
                .collect(),
            attributes: Vec::new(),
        }
    }
}

/// Path of a line, as messages and requirements name it.
pub(super) fn line_path(id: &str) -> String {
    format!("$.lines[?id=='{id}']")
}

impl LineInput {
    /// Warehouses it is taken from, each with its units.
    #[must_use]
    pub fn places(&self) -> Vec<(Option<&str>, u32)> {
        places(self.warehouse.as_deref(), &self.parts, self.quantity)
    }

    fn to_wit(&self) -> wit::Line {
        wit::Line {
            id: self.id.clone(),
            product: self.product.clone(),
            variant: self.variant.clone(),
            sku: self.sku.clone(),
            title: self.title.clone(),
            quantity: self.quantity,
            kind: self.kind.to_wit(),
            parent: self.parent.clone(),
            catalog_price: self.catalog_price,
            compare_at: self.compare_at,
            price_includes_tax: self.includes_tax,
            tax_class: self.tax_class.clone(),
            weight_g: self.weight_g,
            dimensions: self.size_mm.map(|[length_mm, width_mm, height_mm]| wit::Dimensions {
                length_mm,
                width_mm,
                height_mm,
            }),
            categories: self.categories.clone(),
            tags: self.tags.clone(),
            warehouse: self.warehouse.clone(),
            group: None,
            attributes: self.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

impl Kind {
    pub(super) fn to_wit(self) -> wit::LineKind {
        match self {
            Kind::Physical => wit::LineKind::Physical,
            Kind::Digital => wit::LineKind::Digital,
            Kind::GiftCard => wit::LineKind::GiftCard,
            Kind::Service => wit::LineKind::Service,
        }
    }
}

impl CustomerInput {
    pub(super) fn to_wit(&self) -> wit::Customer {
        wit::Customer {
            id: self.id.clone(),
            groups: self.groups.clone(),
            tier: self.tier.clone(),
            tags: self.tags.clone(),
            orders_count: self.orders_count,
            tax_exemptions: self
                .tax_exemptions
                .iter()
                .map(|(id, jurisdiction)| wit::TaxExemption {
                    id: id.clone(),
                    jurisdiction: jurisdiction.clone(),
                })
                .collect(),
            attributes: Vec::new(),
        }
    }
}
