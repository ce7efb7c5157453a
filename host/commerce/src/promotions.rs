//! What the host itself knows of promotions: how often each was used, campaigns, and codes that work a set number of
//! times.

use std::collections::BTreeMap;

use till_store::tables::campaign::CampaignRow;
use till_store::{Error as StoreError, Tx};

use crate::catalog::parse;
use crate::quote::{CampaignInput, CodeInput, Reason, UsesInput, budget_used_up};
use crate::settings::Settings;
use crate::shop::CAMPAIGNS_MAX;

/// Reasons that say that a code was good once.
pub const USED_UP: [&str; 4] = ["used-up", "used-by-customer", "code-used", "campaign-used-up"];
/// Most promotions whose uses a snapshot tells; of further ones the holds know.
const USES_MAX: i64 = 500;

/// Uses so far by promotion.
pub(crate) async fn uses(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
) -> Result<BTreeMap<String, UsesInput>, StoreError> {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let rows = tx.all_uses(merchant, customer, USES_MAX).await?;
    let of =
        |(id, total, own): (String, i64, i64)| (id, UsesInput { total: count(total), customer: count(own) });
    Ok(rows.into_iter().map(of).collect())
}

/// The codes a shopper typed, each with what is known of it.
pub(crate) async fn codes(
    tx: &mut Tx,
    merchant: &str,
    typed: &[String],
) -> Result<Vec<CodeInput>, StoreError> {
    let mut all: Vec<CodeInput> = Vec::with_capacity(typed.len());
    for code in typed {
        let mut input = CodeInput::new(code);
        if let Some(row) = tx.promotion_code(merchant, &code.to_ascii_uppercase()).await? {
            if row.used >= row.uses {
                input.refused = Some(Reason::new("code-used", "This code has been used."));
            } else if all.iter().any(|other| other.code == row.stands_for) {
                input.refused =
                    Some(Reason::new("code-repeated", "Another code of this offer is used already."));
            } else {
                input.code = row.stands_for;
                input.typed = Some(row.code);
            }
        } else if tx.is_stood_for(merchant, code).await? {
            input.refused = Some(Reason::new("code-unknown", "This code is not known."));
        }
        all.push(input);
    }
    Ok(all)
}

/// All campaigns as they stand.
pub(crate) async fn campaigns(
    tx: &mut Tx,
    merchant: &str,
    settings: &Settings,
    now_us: i64,
) -> Result<Vec<CampaignInput>, StoreError> {
    let rows = tx.campaigns(merchant, "", CAMPAIGNS_MAX).await?;
    rows.into_iter().map(|row| campaign(row, settings, now_us)).collect()
}

fn campaign(row: CampaignRow, settings: &Settings, now_us: i64) -> Result<CampaignInput, StoreError> {
    let left = row.budget.map(|budget| (budget - row.spent - row.held).max(0));
    let no_orders = row.orders_max.is_some_and(|max| row.orders + row.orders_held >= max);
    let refused = if row.starts_us.is_some_and(|starts| now_us < starts) {
        Some(Reason::new("campaign-not-started", "This offer has not begun yet."))
    } else if !row.active || row.ends_us.is_some_and(|ends| ends <= now_us) {
        Some(Reason::new("campaign-over", "This offer is over."))
    } else if left == Some(0) || no_orders {
        Some(budget_used_up())
    } else if row.budget.is_some() && row.currency != settings.currency.code() {
        Some(Reason::new("campaign-currency", "This offer is in another currency."))
    } else {
        None
    };
    let foreign = row.currency != settings.currency.code();
    Ok(CampaignInput { id: row.id, promotions: parse(&row.promotions)?, refused, left, foreign })
}
