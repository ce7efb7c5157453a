//! Arbitration: which proposed discounts apply, and how much each takes from what.
//!
//! Offers go by priority, then in the order they came. One applies when it may be combined with every
//! stronger one that applies, its uses are not used up, and it gives something. Each is rounded once,
//! by name, and split by the merchant's allocation; no line goes below zero or below the floor.

use std::cmp::Reverse;
use std::collections::HashMap;

use till_model::money::{Rate, allocate};
use till_sandbox::wit::promotion::{Base, Candidate, Target, Value};

use super::promise::sum;
use super::promotions::because;
use super::{
    BrokenPromise, CampaignInput, Discount, DiscountKind, HOST, Inputs, Message, MessageKind, Offer, Quote,
    QuoteLine, Reason, Severity, Share, Stage, TraceEntry, What,
};

/// Leads the promotion id of a tier's benefits.
const TIER: &str = "tier:";

/// Something a discount can be taken from: units of a line, or the shipping of a group.
struct Slot {
    index: usize,
    /// What a rate is a rate of, and the weight when an amount is split.
    base: i64,
    /// Most that may be taken.
    room: i64,
    units: u32,
}

/// Part of a line's amount for some of its units, cut to whole minor units.
pub(super) fn part_of(amount: i64, units: u32, quantity: u32) -> i64 {
    if units >= quantity {
        return amount;
    }
    let part = i128::from(amount) * i128::from(units) / i128::from(quantity);
    i64::try_from(part).unwrap_or(amount) // A part of the amount fits where the amount did.
}

/// What the tier of the buyer takes off, as offers of the host.
pub(super) fn tier_offers(inputs: &Inputs, quote: &Quote) -> Vec<Offer> {
    let Some(benefit) = quote.policies.tier else { return Vec::new() };
    let tier = inputs.customer.as_ref().and_then(|customer| customer.tier.as_deref()).unwrap_or_default();
    let offer = |target: Target, ppm: u32| Offer {
        by: HOST.to_owned(),
        accepted: false,
        candidate: Candidate {
            promotion: format!("{TIER}{tier}"),
            code: None,
            automatic: true,
            title: tier.to_owned(),
            priority: i32::MIN,
            exclusive: false,
            combines_with: Vec::new(),
            base: Base::Remaining,
            target,
            value: Value::Rate(ppm),
            cap: None,
            floor_unit_price: None,
            uses: 0,
            uses_limit: None,
            customer_limit: None,
            reasons: Vec::new(),
            attributes: Vec::new(),
        },
    };
    let goods = (benefit.discount_ppm > 0).then(|| offer(Target::Order, benefit.discount_ppm));
    let shipping = benefit.free_shipping.then(|| offer(Target::Shipping(None), 1_000_000));
    goods.into_iter().chain(shipping).collect()
}

/// Chooses among all offers and takes what those on goods give. Runs again from the beginning
/// whenever an offer was added.
pub(super) fn goods(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    quote.discounts.clear();
    quote.lines.iter_mut().for_each(|line| line.discount = 0);
    let host = |stage: Stage, by: &str, what: What| {
        stage == Stage::Promotions && (by == HOST || matches!(what, What::Applied | What::NotApplied))
    };
    quote.trace.retain(|entry| !host(entry.stage, &entry.by, entry.what));
    quote.messages.retain(|message| message.stage != Stage::Promotions || message.by != HOST);

    let mut offers = std::mem::take(&mut quote.offers);
    offers.sort_by_key(|offer| Reverse(offer.candidate.priority)); // Stable: ties in the order they came.
    let index =
        quote.lines.iter().enumerate().map(|(at, line)| (line.id.clone(), at)).collect::<HashMap<_, _>>();
    let mut stronger: Vec<usize> = Vec::new();
    for at in 0..offers.len() {
        let candidate = &offers[at].candidate;
        let clash =
            stronger.iter().map(|other| &offers[*other].candidate).find(|other| !combine(candidate, other));
        let refused = clash
            .map(|other| Reason::new("not-combinable", &format!("not combined with {}", other.promotion)))
            .or_else(|| used_up(inputs, candidate))
            .or_else(|| campaign_of(inputs, candidate).and_then(|campaign| campaign.refused.clone()));
        if let Some(reason) = refused {
            let entry = TraceEntry::new(Stage::Promotions, &offers[at].by, What::NotApplied);
            quote.note(entry.of(&candidate.promotion).because(vec![reason]));
            offers[at].accepted = false;
            continue;
        }
        offers[at].accepted = match goods_slots(&quote, &offers[at].candidate, &index) {
            None => true, // On shipping: its amount is known when the option is.
            Some(slots) => {
                let parts = grant(&quote, &offers[at].candidate, &slots)?;
                if over_budget(inputs, &quote, &offers[at].candidate, sum(parts.iter().copied())?)? {
                    let entry = TraceEntry::new(Stage::Promotions, &offers[at].by, What::NotApplied);
                    quote.note(entry.of(&offers[at].candidate.promotion).because(vec![budget_used_up()]));
                    false
                } else {
                    take(&mut quote, &offers[at], &slots, &parts, Stage::Promotions)?
                }
            }
        };
        if offers[at].accepted {
            stronger.push(at);
        }
    }
    quote.offers = offers;
    tell_codes(inputs, &mut quote);
    Ok(quote)
}

/// Each allows the other: by name, or, without names, because neither is exclusive. Two candidates of
/// one promotion always go together.
fn combine(one: &Candidate, other: &Candidate) -> bool {
    let allows = |a: &Candidate, b: &Candidate| {
        if a.combines_with.is_empty() {
            !a.exclusive && !b.exclusive
        } else {
            a.combines_with.contains(&b.promotion)
        }
    };
    one.promotion == other.promotion || (allows(one, other) && allows(other, one))
}

fn used_up(inputs: &Inputs, candidate: &Candidate) -> Option<Reason> {
    let uses = u64::from(candidate.uses);
    let so_far = inputs.promotion_uses.get(&candidate.promotion).copied().unwrap_or_default();
    let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used.saturating_add(uses) > limit);
    let code = candidate.code.as_ref().and_then(|typed| inputs.codes.iter().find(|code| code.code == *typed));
    let short = |left: fn(&super::CodeInput) -> Option<u64>| {
        code.and_then(left).is_some_and(|left| left < uses.max(1))
    };
    if over(candidate.uses_limit, so_far.total) || short(|code| code.uses_left) {
        return Some(Reason::new("used-up", "This offer has been used up."));
    }
    if over(candidate.customer_limit, so_far.customer) || short(|code| code.customer_uses_left) {
        return Some(Reason::new("used-by-customer", "You have used this offer before."));
    }
    None
}

/// The campaign that covers a candidate.
fn campaign_of<'a>(inputs: &'a Inputs, candidate: &Candidate) -> Option<&'a CampaignInput> {
    inputs.campaigns.iter().find(|campaign| campaign.promotions.contains(&candidate.promotion))
}

/// Why a campaign gives nothing more.
pub(crate) fn budget_used_up() -> Reason {
    Reason::new("campaign-used-up", "This offer has been used up.")
}

/// With this amount the candidate's campaign would take off more than its budget has left.
fn over_budget(
    inputs: &Inputs,
    quote: &Quote,
    candidate: &Candidate,
    amount: i64,
) -> Result<bool, BrokenPromise> {
    let Some(campaign) = campaign_of(inputs, candidate) else { return Ok(false) };
    let Some(left) = campaign.left else { return Ok(false) };
    let taken = quote.discounts.iter().filter(|off| campaign.promotions.contains(&off.promotion));
    Ok(sum(taken.map(|off| off.amount).chain([amount]))? > left)
}

/// Where a candidate on goods takes from; none for one on shipping.
fn goods_slots(quote: &Quote, candidate: &Candidate, index: &HashMap<String, usize>) -> Option<Vec<Slot>> {
    let slot = |at: usize, units: u32| {
        let line: &QuoteLine = &quote.lines[at];
        let left = part_of(line.total - line.discount, units, line.quantity);
        let original = part_of(line.total, units, line.quantity);
        let room = match candidate.base {
            // Units that an earlier discount made cheaper may still be taken at their original price;
            // the line as a whole is the limit.
            Base::Original => original.min(line.total - line.discount),
            Base::Remaining => left,
        };
        let floor = |price: i64| left.saturating_sub(price.saturating_mul(i64::from(units))).max(0);
        Slot {
            index: at,
            base: match candidate.base {
                Base::Original => original,
                Base::Remaining => left,
            },
            room: candidate.floor_unit_price.map_or(room, |price| room.min(floor(price))),
            units,
        }
    };
    match &candidate.target {
        Target::Order => Some((0..quote.lines.len()).map(|at| slot(at, quote.lines[at].quantity)).collect()),
        Target::Lines(lines) => {
            let known = |line: &till_sandbox::wit::promotion::LineUnits| {
                index.get(line.line.as_str()).map(|at| slot(*at, line.units))
            };
            Some(lines.iter().filter_map(known).collect())
        }
        Target::Shipping(_) => None,
    }
}

/// How much a candidate takes from each slot.
fn grant(quote: &Quote, candidate: &Candidate, slots: &[Slot]) -> Result<Vec<i64>, BrokenPromise> {
    let policies = &quote.policies;
    let bases = slots.iter().map(|slot| slot.base).collect::<Vec<_>>();
    let base = sum(bases.iter().copied())?;
    let split = |amount: i64, weights: &[i64]| -> Result<Vec<i64>, BrokenPromise> {
        let parts = allocate(quote.money(amount), weights, policies.allocation)?;
        Ok(parts.iter().map(|part| part.minor()).collect())
    };
    let cap = candidate.cap.unwrap_or(i64::MAX);
    let offered = match candidate.value {
        Value::Amount(amount) => split(amount.min(cap).min(base), &bases)?,
        Value::Rate(ppm) => {
            let amount = quote.money(base).times(Rate::from_ppm(ppm))?.round(policies.rounding)?;
            split(amount.minor().min(cap), &bases)?
        }
        Value::UnitPrice(price) => {
            let wanted =
                |slot: &Slot| slot.base.saturating_sub(price.saturating_mul(i64::from(slot.units))).max(0);
            let wanted = slots.iter().map(wanted).collect::<Vec<_>>();
            let amount = sum(wanted.iter().copied())?;
            if amount > cap { split(cap, &wanted)? } else { wanted }
        }
    };
    let mut parts =
        offered.iter().zip(slots).map(|(offer, slot)| (*offer).min(slot.room)).collect::<Vec<_>>();
    // What cannot be granted for one is offered again to the others: an amount is a promise of that
    // amount, and a floor asks for it. A rate or a unit price without a floor speaks of each line.
    if matches!(candidate.value, Value::Amount(_)) || candidate.floor_unit_price.is_some() {
        let rooms = slots.iter().zip(&parts).map(|(slot, part)| slot.room - part).collect::<Vec<_>>();
        let left = (sum(offered)? - sum(parts.iter().copied())?).min(sum(rooms.iter().copied())?);
        if left > 0 {
            parts.iter_mut().zip(split(left, &rooms)?).for_each(|(part, more)| *part += more);
        }
    }
    Ok(parts)
}

/// Takes the parts and records the discount. False where it gives nothing.
fn take(
    quote: &mut Quote,
    offer: &Offer,
    slots: &[Slot],
    parts: &[i64],
    stage: Stage,
) -> Result<bool, BrokenPromise> {
    let candidate = &offer.candidate;
    let amount = sum(parts.iter().copied())?;
    let entry = TraceEntry::new(stage, &offer.by, What::Applied).of(&candidate.promotion);
    if amount == 0 {
        let reason = Reason::new("gives-nothing", "nothing is left that it could be taken from");
        quote.note(TraceEntry { what: What::NotApplied, ..entry }.because(vec![reason]));
        return Ok(false);
    }
    let given = || slots.iter().zip(parts).filter(|(_, part)| **part > 0);
    let (mut lines, mut shipping) = (Vec::new(), Vec::new());
    for (slot, &amount) in given() {
        if stage == Stage::Shipping {
            shipping.push(Share { of: quote.shipping[slot.index].id.clone(), amount });
        } else {
            quote.lines[slot.index].discount += amount;
            lines.push(Share { of: quote.lines[slot.index].id.clone(), amount });
        }
    }
    let same = quote.discounts.iter().filter(|off| off.promotion == candidate.promotion).count();
    let id =
        if same == 0 { candidate.promotion.clone() } else { format!("{}#{}", candidate.promotion, same + 1) };
    let tier = offer.by == HOST && candidate.promotion.starts_with(TIER);
    quote.note(entry.amount(-amount).because(because(candidate)));
    quote.discounts.push(Discount {
        id,
        kind: if tier { DiscountKind::TierBenefit } else { DiscountKind::Promotion },
        by: offer.by.clone(),
        promotion: candidate.promotion.clone(),
        code: candidate.code.clone(),
        automatic: candidate.automatic,
        title: candidate.title.clone(),
        priority: candidate.priority,
        amount,
        lines,
        shipping,
        points: 0,
        uses: candidate.uses,
        uses_limit: candidate.uses_limit,
        customer_limit: candidate.customer_limit,
    });
    Ok(true)
}

/// Every code that does nothing is said to the shopper, with the reason that is known.
fn tell_codes(inputs: &Inputs, quote: &mut Quote) {
    for (at, code) in inputs.codes.iter().enumerate() {
        let of_code = |offer: &&Offer| offer.candidate.code.as_ref() == Some(&code.code);
        if quote.offers.iter().filter(of_code).any(|offer| offer.accepted) {
            continue;
        }
        let offered = quote.offers.iter().find(of_code).map(|offer| offer.candidate.promotion.clone());
        let told = |entry: &&TraceEntry| {
            let refused = entry.what == What::Refused && entry.subject.as_ref() == Some(&code.code);
            refused || (entry.what == What::NotApplied && offered.is_some() && entry.subject == offered)
        };
        let refused = code.refused.clone();
        let reason = quote.trace.iter().filter(told).find_map(|entry| entry.reasons.first()).cloned();
        let reason = refused.or(reason);
        let (name, text) = match &reason {
            Some(reason) => (reason.code.as_str(), reason.text.as_str()),
            None => ("code-unknown", "This code is not known."),
        };
        let message = Message::new(HOST, MessageKind::Warning, Severity::NeedsBuyerReview, name, text);
        quote.say(Stage::Promotions, message.about(format!("$.codes[{at}]")));
    }
}

/// What accepted offers on shipping take from these gross prices, by offer and then by group.
fn shipping_parts(quote: &Quote, prices: &[Option<i64>]) -> Result<Vec<Vec<i64>>, BrokenPromise> {
    let mut left = prices.iter().map(|price| price.unwrap_or(0)).collect::<Vec<_>>();
    let mut all = Vec::with_capacity(quote.offers.len());
    for offer in &quote.offers {
        let candidate = &offer.candidate;
        let aimed = |at: usize| match &candidate.target {
            Target::Shipping(None) => true,
            Target::Shipping(Some(group)) => *group == quote.shipping[at].id,
            Target::Order | Target::Lines(_) => false,
        };
        let slot = |index: usize| {
            let (original, left) =
                if aimed(index) { (prices[index].unwrap_or(0), left[index]) } else { (0, 0) };
            Slot {
                index,
                base: match candidate.base {
                    Base::Original => original,
                    Base::Remaining => left,
                },
                room: left.saturating_sub(candidate.floor_unit_price.unwrap_or(0)).max(0),
                units: 1,
            }
        };
        let slots = (0..prices.len()).map(slot).collect::<Vec<_>>();
        let parts = if offer.accepted { grant(quote, candidate, &slots)? } else { vec![0; prices.len()] };
        left.iter_mut().zip(&parts).for_each(|(left, part)| *left -= part);
        all.push(parts);
    }
    Ok(all)
}

/// Takes promotions on shipping from the chosen options, and says of every other option what they
/// would take if it were chosen instead.
pub(super) fn shipping(quote: &mut Quote) -> Result<(), BrokenPromise> {
    let chosen = quote
        .shipping
        .iter()
        .map(|group| group.selected_option().map(|option| option.price))
        .collect::<Vec<_>>();
    for at in 0..quote.shipping.len() {
        for option in 0..quote.shipping[at].options.len() {
            let mut prices = chosen.clone();
            prices[at] = Some(quote.shipping[at].options[option].price);
            let parts = shipping_parts(quote, &prices)?;
            quote.shipping[at].options[option].discount = sum(parts.iter().map(|parts| parts[at]))?;
        }
    }
    if chosen.iter().all(Option::is_none) {
        return Ok(());
    }
    let all = shipping_parts(quote, &chosen)?;
    let slots = (0..chosen.len()).map(|index| Slot { index, base: 0, room: 0, units: 1 }).collect::<Vec<_>>();
    let offers = std::mem::take(&mut quote.offers);
    for (offer, parts) in offers.iter().zip(all).filter(|(offer, _)| offer.accepted) {
        take(quote, offer, &slots, &parts, Stage::Shipping)?;
    }
    quote.offers = offers;
    Ok(())
}
