//! Puts the lines of a cart into warehouses, when the checkout's snapshot is taken.

use std::collections::BTreeSet;

use super::choose::{Free, Want, choose};
use super::{Policy, Warehouse, near};
use crate::catalog::Availability;
use crate::quote::{Address, LineInput};
use crate::settings::InventorySettings;

/// Says of each line where it is taken from, and how many units could be held there. `stock` has, line by line, what can
/// be held in warehouses that are open; lines whose `stock` is none are not counted and stay as they are.
pub fn place(
    lines: &mut [LineInput],
    stock: &[Vec<Availability>],
    described: &[Warehouse],
    to: Option<&Address>,
    settings: &InventorySettings,
) {
    if settings.policy == Policy::Chosen {
        for (line, stock) in lines.iter_mut().zip(stock).filter(|(line, _)| line.stock.is_some()) {
            as_chosen(line, stock, described);
        }
        return;
    }
    let mut free = Free::new();
    for (line, stock) in lines.iter().zip(stock).filter(|(line, _)| line.stock.is_some()) {
        for units in stock {
            free.insert((line.sku.clone(), units.warehouse.clone()), units.available);
        }
    }
    let order = order(free.keys().map(|(_, warehouse)| warehouse), described, to, settings);
    let open: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].stock.is_some() && !lines[*at].withdrawn).collect();
    let wants: Vec<Want<'_>> =
        open.iter().map(|at| Want { sku: &lines[*at].sku, units: lines[*at].quantity }).collect();
    let chosen = choose(settings.policy, &wants, &free, &order);
    for (at, parts) in open.into_iter().zip(chosen) {
        let (line, stock) = (&mut lines[at], &stock[at]);
        let there =
            |warehouse: &str| stock.iter().find(|s| s.warehouse == warehouse).map_or(0, |s| s.available);
        match parts {
            Some(parts) => {
                let units = parts.iter().map(|part| there(&part.warehouse)).fold(0, i64::saturating_add);
                line.stock = Some(clamped(units));
                line.warehouse = parts.first().map(|part| part.warehouse.clone());
                line.parts = if parts.len() > 1 { parts } else { Vec::new() };
            }
            None => {
                let most = stock.iter().max_by_key(|s| (s.available, std::cmp::Reverse(&s.warehouse)));
                line.warehouse = most.map(|s| s.warehouse.clone());
                // What other lines of the same SKU do not take may be fewer; it is never enough.
                let units = clamped(settings.policy.sellable(stock, None));
                line.stock = Some(units.min(line.quantity.saturating_sub(1)));
            }
        }
    }
}

/// Warehouses of `ids` as the policy prefers them.
pub fn order<'a>(
    ids: impl Iterator<Item = &'a String>,
    described: &[Warehouse],
    to: Option<&Address>,
    settings: &InventorySettings,
) -> Vec<String> {
    let known = |id: &String| described.iter().find(|one| one.id == *id).cloned();
    let ids: BTreeSet<&String> = ids.collect();
    let mut all: Vec<Warehouse> =
        ids.into_iter().map(|id| known(id).unwrap_or_else(|| Warehouse::unknown(id))).collect();
    let to = to.filter(|_| matches!(settings.policy, Policy::Nearest | Policy::Split));
    near::sort(&mut all, to, &settings.centroids);
    all.into_iter().map(|one| one.id).collect()
}

fn as_chosen(line: &mut LineInput, stock: &[Availability], described: &[Warehouse]) {
    let closed = |id: &String| described.iter().any(|one| one.id == *id && !one.active);
    if line.warehouse.as_ref().is_some_and(closed) {
        // Closed since it was put into the cart: the one with most units stands in for it.
        let most = stock.iter().max_by_key(|s| (s.available, std::cmp::Reverse(&s.warehouse)));
        line.warehouse = most.map(|s| s.warehouse.clone());
    }
    let there = stock.iter().find(|s| Some(&s.warehouse) == line.warehouse.as_ref());
    line.stock = Some(clamped(there.map_or(0, |s| s.available)));
}

fn clamped(units: i64) -> u32 {
    u32::try_from(units.max(0)).unwrap_or(u32::MAX)
}

impl Policy {
    /// Units that one line can have: those of the warehouse asked for, of the one with most, or of all together.
    #[must_use]
    pub fn sellable(self, stock: &[Availability], asked: Option<&str>) -> i64 {
        let asked = asked.filter(|_| self == Policy::Chosen);
        let units = stock.iter().filter(|s| asked.is_none_or(|id| s.warehouse == id)).map(|s| s.available);
        match self {
            Policy::Split => units.map(|units| units.max(0)).fold(0, i64::saturating_add),
            _ => units.max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, sku: &str, quantity: u32, warehouse: &str) -> LineInput {
        serde_json::from_value(serde_json::json!({
            "id": id, "product": "P", "sku": sku, "title": sku, "quantity": quantity, "catalog_price": 1,
            "warehouse": warehouse, "stock": 0,
        }))
        .unwrap()
    }

    fn there(all: &[(&str, i64)]) -> Vec<Availability> {
        all.iter().map(|(id, n)| Availability { warehouse: (*id).to_owned(), available: *n }).collect()
    }

    /// Places of a line with their units, and what is there in all.
    type Told<'a> = (Vec<(Option<&'a str>, u32)>, Option<u32>);

    fn told(lines: &[LineInput]) -> Vec<Told<'_>> {
        lines.iter().map(|line| (line.places(), line.stock)).collect()
    }

    fn settings(policy: Policy) -> InventorySettings {
        InventorySettings { policy, ..InventorySettings::default() }
    }

    #[test]
    fn the_cart_decides_until_its_warehouse_is_closed() {
        let stock = [there(&[("B", 3), ("C", 7)])];
        let mut lines = [line("1", "x", 2, "B")];
        place(&mut lines, &stock, &[], None, &settings(Policy::Chosen));
        assert_eq!(told(&lines), [(vec![(Some("B"), 2)], Some(3))]);
        let closed = Warehouse { active: false, ..Warehouse::unknown("A") };
        let mut lines = [line("1", "x", 2, "A")];
        place(&mut lines, &stock, std::slice::from_ref(&closed), None, &settings(Policy::Chosen));
        assert_eq!(told(&lines), [(vec![(Some("C"), 2)], Some(7))]);
        let mut lines = [line("1", "x", 2, "A")];
        place(&mut lines, &[vec![]], &[closed], None, &settings(Policy::Chosen));
        assert_eq!(told(&lines), [(vec![(None, 2)], Some(0))], "and nothing is held in it");
    }

    #[test]
    fn a_divided_line_says_where_all_of_it_comes_from_and_a_short_one_how_much_there_is() {
        let stock = [there(&[("A", 3), ("B", 4)]), there(&[("A", 1), ("B", 1)])];
        let mut lines = [line("1", "x", 6, "A"), line("2", "y", 3, "A")];
        place(&mut lines, &stock, &[], None, &settings(Policy::Split));
        assert_eq!(
            told(&lines),
            [(vec![(Some("B"), 4), (Some("A"), 2)], Some(7)), (vec![(Some("A"), 3)], Some(2))]
        );
        assert_eq!(lines[0].warehouse.as_deref(), Some("B"));
        let mut lines = [line("1", "x", 6, "A"), line("2", "y", 1, "B")];
        place(&mut lines, &stock, &[], None, &settings(Policy::MostStock));
        assert_eq!(told(&lines), [(vec![(Some("B"), 6)], Some(4)), (vec![(Some("B"), 1)], Some(1))]);
    }

    #[test]
    fn what_is_not_counted_stays_where_it_is() {
        let mut lines = [LineInput { stock: None, ..line("1", "x", 6, "A") }];
        place(&mut lines, &[vec![]], &[], None, &settings(Policy::Nearest));
        assert_eq!(told(&lines), [(vec![(Some("A"), 6)], None)]);
    }
}
