//! Stage four: how the goods get to the shopper, the chosen option, and promotions on shipping.

use std::collections::HashSet;

use till_sandbox::wit::shipping::{Group, GroupLine, RateRequest, RateResult, ShippingOption as WitOption};

use super::promise::{at_most_items, not_negative, promise, sum};
use super::trace::{cut, reasons};
use super::{
    Address, BrokenPromise, Component, HOST, Inputs, Kind, Message, MessageKind, PickupPoint, Quote, Rule,
    Severity, ShippingGroup, ShippingOption, Stage, TraceEntry, What, arbitrate,
};

/// Most options kept for one group: a page of a checkout. The chosen one is always kept.
const OPTIONS_MAX: usize = 40;
/// Longest option id, in bytes.
const OPTION_ID_BYTES_MAX: usize = 128;

/// Something has to be shipped. Without it the caller calls [`skip`] instead of a component.
#[must_use]
pub fn needed(inputs: &Inputs, quote: &Quote) -> bool {
    !groups(inputs, quote).is_empty()
}

/// Physical goods that can be sold, by the warehouses they leave, in the order of the lines. A divided line is in several.
fn groups(inputs: &Inputs, quote: &Quote) -> Vec<ShippingGroup> {
    let mut groups: Vec<ShippingGroup> = Vec::new();
    for (line, made) in inputs.lines.iter().zip(&quote.lines) {
        if line.kind != Kind::Physical || made.unavailable.is_some() {
            continue;
        }
        for (from, _) in line.places() {
            match groups.iter_mut().find(|group| group.warehouse.as_deref() == from) {
                Some(group) => group.lines.push(line.id.clone()),
                None => groups.push(ShippingGroup {
                    id: from.map_or_else(|| "ship".to_owned(), |from| format!("ship-{from}")),
                    warehouse: from.map(str::to_owned),
                    lines: vec![line.id.clone()],
                    options: Vec::new(),
                    selected: None,
                    tax: 0,
                    tax_included: 0,
                }),
            }
        }
    }
    groups
}

/// What the shipping component is asked.
///
/// # Errors
/// The rule `overflow`.
pub fn build_request(inputs: &Inputs, quote: &Quote) -> Result<RateRequest, BrokenPromise> {
    let line = |id: &String, from: Option<&str>| {
        let (line, made) = (inputs.line(id)?, quote.line(id)?);
        let places = line.places();
        let at = places.iter().position(|(place, _)| *place == from)?;
        let before: u32 = places[..at].iter().map(|(_, units)| units).sum();
        let units = places[at].1;
        Some(GroupLine {
            line: id.clone(),
            units,
            weight_g: line.weight_g,
            value: share(made.net(), before + units, line.quantity)
                - share(made.net(), before, line.quantity),
            tags: line.tags.clone(),
        })
    };
    let group = |group: ShippingGroup| Group {
        lines: group.lines.iter().filter_map(|id| line(id, group.warehouse.as_deref())).collect(),
        origin: group.warehouse.as_ref().and_then(|from| inputs.warehouses.get(from)).map(Address::to_wit),
        id: group.id,
        warehouse: group.warehouse,
        destination: inputs.shipping_address.as_ref().map(Address::to_wit),
        parcels: Vec::new(),
    };
    Ok(RateRequest {
        cart: inputs.to_wit(Some(quote)),
        groups: groups(inputs, quote).into_iter().map(group).collect(),
        goods_total: quote.goods_total()?,
        attributes: Vec::new(),
    })
}

/// The part of an amount that the first units of a line have. Those of all parts sum up to it.
fn share(amount: i64, units: u32, all: u32) -> i64 {
    let part = i128::from(amount) * i128::from(units) / i128::from(all.max(1));
    i64::try_from(part).expect("a part of an amount is no more than it")
}

/// Nothing to ship, or nobody to ask: groups without options.
#[must_use]
pub fn skip(inputs: &Inputs, mut quote: Quote) -> Quote {
    quote.reset_from(Stage::Shipping);
    quote.shipping = groups(inputs, &quote);
    quote
}

/// Takes the options of all components in their order, the shopper's choice among them, and promotions on
/// shipping.
///
/// # Errors
/// A group unknown, an option id empty or twice in its group, a price below zero, too many items, or
/// sums that overflow.
pub fn apply_results(
    inputs: &Inputs,
    quote: Quote,
    answers: &[(Component, RateResult)],
) -> Result<Quote, BrokenPromise> {
    let mut quote = skip(inputs, quote);
    let mut ids = HashSet::new();
    let mut options = Vec::new();
    for (by, result) in answers {
        at_most_items("options", result.options.len())?;
        at_most_items("messages", result.messages.len())?;
        options.extend(result.options.iter().map(|option| (by, option)));
    }
    for (_, option) in &options {
        let (group, id) = (&option.group, &option.id);
        promise(Rule::UnknownId, quote.shipping.iter().any(|known| known.id == *group), || {
            format!("group {} of option {}", cut(group), cut(id))
        })?;
        let unique = ids.insert((group.as_str(), id.as_str()));
        promise(Rule::OptionId, unique && !id.is_empty() && id.len() <= OPTION_ID_BYTES_MAX, || {
            format!("option `{}` of group {group}: unique, 1 to {OPTION_ID_BYTES_MAX} bytes", cut(id))
        })?;
        not_negative(|| format!("price of option {id}"), option.price)?;
    }
    for (by, result) in answers {
        quote.took_part(Stage::Shipping, by);
        quote.say_all(Stage::Shipping, &by.name, &result.messages);
    }
    for at in 0..quote.shipping.len() {
        choose(inputs, &mut quote, at, &options);
    }
    arbitrate::shipping(&mut quote)?;
    sum(quote.shipping.iter().filter_map(ShippingGroup::selected_option).map(|option| option.price))?;
    Ok(quote)
}

fn choose(inputs: &Inputs, quote: &mut Quote, at: usize, options: &[(&Component, &WitOption)]) {
    let group = quote.shipping[at].id.clone();
    let live = |option: &WitOption| option.expires_ms.is_none_or(|until| until > inputs.now_ms);
    let of_group = || options.iter().filter(|(_, option)| option.group == group && live(option));
    let wanted = inputs.option_for(&group);
    let chosen = of_group().find(|(_, option)| Some(option.id.as_str()) == wanted);
    let mut kept = of_group().map(|(_, option)| *option).take(OPTIONS_MAX).collect::<Vec<_>>();
    if let Some((by, option)) = chosen {
        if !kept.iter().any(|other| other.id == option.id) {
            kept.pop();
            kept.push(option);
        }
        let entry =
            TraceEntry::new(Stage::Shipping, &by.name, What::Chosen).of(&format!("{group}/{}", option.id));
        quote.note(entry.amount(option.price).because(reasons(&option.reasons)));
    } else if let Some(wanted) = wanted {
        let text = format!("The shipping option {wanted} is not offered for these goods.");
        let severity = Severity::NeedsBuyerInput;
        let message = Message::new(HOST, MessageKind::Warning, severity, "shipping-option-unknown", &text);
        quote.say(Stage::Shipping, message.about("$.shipping_option"));
    }
    quote.shipping[at].options = kept.into_iter().map(take).collect();
    quote.shipping[at].selected = chosen.map(|(_, option)| option.id.clone());
}

fn take(option: &WitOption) -> ShippingOption {
    ShippingOption {
        id: option.id.clone(),
        carrier: cut(&option.carrier),
        service: cut(&option.service),
        title: cut(&option.title),
        price: option.price,
        discount: 0,
        tax_class: cut(&option.tax_class),
        earliest_ms: option.earliest_ms,
        latest_ms: option.latest_ms,
        expires_ms: option.expires_ms,
        constraints: option.constraints.iter().take(8).map(|name| cut(name)).collect(),
        pickup: option.pickup.as_ref().map(|point| PickupPoint {
            id: cut(&point.id),
            name: cut(&point.name),
            address: Address {
                name: cut(&point.address.name),
                company: cut(&point.address.company),
                street: point.address.street.iter().take(4).map(|line| cut(line)).collect(),
                city: cut(&point.address.city),
                region: cut(&point.address.region),
                postal_code: cut(&point.address.postal_code),
                country: cut(&point.address.country),
                phone: cut(&point.address.phone),
            },
        }),
    }
}
