//! Stage three: loyalty points, taken off like a discount after the promotions on goods.

use till_model::money::allocate;

use super::promise::sum;
use super::{
    BrokenPromise, Discount, DiscountKind, HOST, Inputs, Message, MessageKind, Quote, Reason, Severity,
    Share, Stage, TraceEntry, What,
};

/// Uses the shopper's points: at most the balance and at most what is left of the goods, in whole
/// points. A clamped number is told as a message.
///
/// # Errors
/// The rule `overflow`.
pub fn apply(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    quote.reset_from(Stage::Points);
    // Offers on goods have been arbitrated for good; those on shipping wait for the option.
    quote.offers.retain(|offer| {
        let shipping = matches!(offer.candidate.target, till_sandbox::wit::promotion::Target::Shipping(_));
        shipping && offer.accepted
    });
    let wanted = inputs.points_to_use;
    if wanted == 0 {
        return Ok(quote);
    }
    let worth = i64::from(quote.policies.minor_per_point);
    if !quote.policies.points_enabled || worth == 0 {
        say(&mut quote, "points-disabled", "Points cannot be used here.");
        return Ok(quote);
    }
    let left = quote.lines.iter().map(|line| line.total - line.discount).collect::<Vec<_>>();
    let room = u64::try_from(sum(left.iter().copied())? / worth).unwrap_or(0);
    let balance = inputs.customer.as_ref().map_or(0, |customer| customer.points_balance);
    let used = wanted.min(balance).min(room);
    if used < wanted && balance < wanted {
        say(&mut quote, "points-above-balance", &format!("You have {balance} points; {used} are used."));
    } else if used < wanted {
        say(&mut quote, "points-above-total", &format!("Only {used} points are needed."));
    }
    if used == 0 {
        return Ok(quote);
    }
    let overflow = till_model::money::MoneyError::Overflow;
    let amount = i64::try_from(used).ok().and_then(|used| used.checked_mul(worth)).ok_or(overflow)?;
    let parts = allocate(quote.money(amount), &left, quote.policies.allocation)?;
    let mut lines = Vec::new();
    for (line, part) in quote.lines.iter_mut().zip(&parts).filter(|(_, part)| !part.is_zero()) {
        line.points = part.minor();
        lines.push(Share { of: line.id.clone(), amount: part.minor() });
    }
    let reason = Reason::new("points", &format!("{used} points of {worth} minor units each"));
    let entry = TraceEntry::new(Stage::Points, HOST, What::PointsUsed).of("points").amount(-amount);
    quote.note(entry.because(vec![reason]));
    quote.discounts.push(Discount {
        id: "points".to_owned(),
        kind: DiscountKind::LoyaltyPoints,
        by: HOST.to_owned(),
        promotion: "points".to_owned(),
        code: None,
        automatic: false,
        title: "Points".to_owned(),
        priority: 0,
        amount,
        lines,
        shipping: Vec::new(),
        points: used,
        uses: 0,
        uses_limit: None,
        customer_limit: None,
    });
    Ok(quote)
}

fn say(quote: &mut Quote, code: &str, text: &str) {
    let message = Message::new(HOST, MessageKind::Warning, Severity::NeedsBuyerReview, code, text);
    quote.say(Stage::Points, message.about("$.points_to_use"));
}
