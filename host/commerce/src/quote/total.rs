//! Stage six: the sums, and the check that they add up.

use super::promise::{promise, sum};
use super::{BrokenPromise, Inputs, Quote, Rule, ShippingGroup, Stage, TaxedItem, Totals};
use crate::gift_card;

/// Adds up and checks. Points are earned for each whole step of the total: at one major unit 471.17 USD earns 471.
///
/// # Errors
/// The rule `overflow`; the rule `sums-add-up` would be a fault of ours.
pub fn apply(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    quote.reset_from(Stage::Total);
    let chosen = || quote.shipping.iter().filter_map(ShippingGroup::selected_option);
    let subtotal = sum(quote.lines.iter().map(|line| line.total))?;
    let discounts = sum(quote.discounts.iter().map(|off| off.amount))?;
    let shipping = sum(chosen().map(|option| option.price))?;
    let tax = sum(quote.taxes.iter().filter(|tax| !tax.included).map(|tax| tax.amount))?;
    let tax_included = sum(quote.taxes.iter().filter(|tax| tax.included).map(|tax| tax.amount))?;
    let total = sum([subtotal, -discounts, shipping, tax])?;
    let step = quote.currency.minor_per_major().saturating_mul(i64::from(quote.policies.earning_step.max(1)));
    let steps = u64::try_from(total / step).unwrap_or(0);
    let earned = steps.saturating_mul(u64::from(quote.policies.earned_per_major));
    quote.totals = Some(Totals {
        subtotal,
        discounts,
        shipping,
        tax,
        tax_included,
        total,
        points_used: quote.discounts.iter().map(|off| off.points).sum(),
        points_earned: if quote.policies.points_enabled { earned } else { 0 },
    });
    gift_card::pay(&inputs.gift_cards, &mut quote);
    audit(&quote)?;
    Ok(quote)
}

/// Checks that a finished quote adds up exactly, per line, per group and in sum.
///
/// # Errors
/// The rule `sums-add-up` with the place and both sides, or `overflow`.
pub fn audit(quote: &Quote) -> Result<(), BrokenPromise> {
    let equal = |what: &str, of: &str, left: i64, right: i64| {
        promise(Rule::SumsAddUp, left == right, || format!("{what} {of}: {left} is not {right}"))
    };
    let shares = |of: &str, points: bool| {
        let offs = quote.discounts.iter().filter(move |off| (off.points > 0) == points);
        sum(offs.flat_map(|off| &off.lines).filter(|share| share.of == of).map(|share| share.amount))
    };
    let taxes = |on: &TaxedItem, included: bool| {
        let on = quote.taxes.iter().filter(|tax| tax.on == *on && tax.included == included);
        sum(on.map(|tax| tax.amount))
    };
    let mut payable = Vec::new();
    for line in &quote.lines {
        equal("promotions on line", &line.id, shares(&line.id, false)?, line.discount)?;
        equal("points on line", &line.id, shares(&line.id, true)?, line.points)?;
        let on = TaxedItem::Line(line.id.clone());
        equal("tax on line", &line.id, taxes(&on, false)?, line.tax)?;
        equal("tax contained in line", &line.id, taxes(&on, true)?, line.tax_included)?;
        let sane = line.total >= 0 && line.discount >= 0 && line.points >= 0 && line.net() >= 0;
        promise(Rule::SumsAddUp, sane, || format!("line {} is below zero", line.id))?;
        payable.push(sum([line.net(), line.tax])?);
    }
    for group in &quote.shipping {
        let (price, discount) =
            group.selected_option().map_or((0, 0), |option| (option.price, option.discount));
        let of_group =
            quote.discounts.iter().flat_map(|off| &off.shipping).filter(|share| share.of == group.id);
        equal("promotions on group", &group.id, sum(of_group.map(|share| share.amount))?, discount)?;
        let on = TaxedItem::Shipping(group.id.clone());
        equal("tax on group", &group.id, taxes(&on, false)?, group.tax)?;
        equal("tax contained in group", &group.id, taxes(&on, true)?, group.tax_included)?;
        promise(Rule::SumsAddUp, (0..=price).contains(&discount), || {
            format!("group {} is below zero", group.id)
        })?;
        payable.push(sum([price, -discount, group.tax])?);
    }
    for off in &quote.discounts {
        let parts = sum(off.lines.iter().chain(&off.shipping).map(|share| share.amount))?;
        equal("parts of discount", &off.id, parts, off.amount)?;
    }
    let Some(totals) = quote.totals else {
        return Err(BrokenPromise { rule: Rule::SumsAddUp, detail: "the quote has no totals".to_owned() });
    };
    equal("the sum of", "what is paid", sum(payable)?, totals.total)?;
    promise(Rule::SumsAddUp, totals.total >= 0, || format!("total {}", totals.total))?;
    let by_card = sum(quote.gift_cards.iter().map(|part| part.amount))?;
    let sane = by_card <= totals.total && quote.gift_cards.iter().all(|part| part.amount > 0);
    promise(Rule::SumsAddUp, sane, || format!("gift cards pay {by_card} of {}", totals.total))
}
