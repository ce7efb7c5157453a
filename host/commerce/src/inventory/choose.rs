//! Which warehouse each line of a cart is taken from.
//!
//! [`choose`] is a plain function of what is wanted, what is there and the order in which warehouses are preferred: the
//! same arguments, the same answer. Whoever holds the stock afterwards does so by conditional updates; what is said here
//! may be old by then, and is refused there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a warehouse is chosen for the lines of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// As the cart says; the host named the one with most units where the shopper named none.
    #[default]
    Chosen,
    /// The one with most units of what is wanted.
    MostStock,
    /// The one nearest to the shipping address.
    Nearest,
    /// The nearest; and a line that no warehouse has all of is taken from several.
    Split,
}

/// Units of a line that come from one warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Warehouse.
    pub warehouse: String,
    /// Units, at least 1.
    pub units: u32,
}

/// Warehouses that units come from, with how many: the parts, or all from the one warehouse where there are no parts.
pub(crate) fn places<'a>(
    warehouse: Option<&'a str>,
    parts: &'a [Part],
    units: u32,
) -> Vec<(Option<&'a str>, u32)> {
    match parts {
        [] => vec![(warehouse, units)],
        parts => parts.iter().map(|part| (Some(part.warehouse.as_str()), part.units)).collect(),
    }
}

/// A line that is to be taken from somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want<'a> {
    /// SKU.
    pub sku: &'a str,
    /// Units, at least 1.
    pub units: u32,
}

/// Units that can be held, by SKU and warehouse.
pub type Free = BTreeMap<(String, String), i64>;

/// Says where each line comes from; none for a line of which there is not enough.
///
/// `order` are the warehouses that may be chosen, the preferred one first. The one that has all lines is taken; where
/// several have, the first of them, or with [`Policy::MostStock`] the one with most units of what is wanted. Where none
/// has all, the one that has most lines as a whole is taken for these, and so on with the rest: as few parcels as can be
/// told in one pass. [`Policy::Split`] then divides what is left, over warehouses that are used already first, then over
/// those with most units. [`Policy::Chosen`] chooses like [`Policy::MostStock`]: it is asked where nobody chose.
#[must_use]
pub fn choose(policy: Policy, wants: &[Want<'_>], free: &Free, order: &[String]) -> Vec<Option<Vec<Part>>> {
    let mut free = free.clone();
    let mut found: Vec<Option<Vec<Part>>> = vec![None; wants.len()];
    let mut used: Vec<&String> = Vec::new();
    let by_stock = matches!(policy, Policy::Chosen | Policy::MostStock);
    loop {
        let open: Vec<usize> = (0..wants.len()).filter(|at| found[*at].is_none()).collect();
        let mut best: Option<(usize, i64, &String, Vec<usize>)> = None;
        for warehouse in order {
            let lines = whole_lines(wants, &open, &free, warehouse);
            let units = if by_stock { units_of(wants, &open, &free, warehouse) } else { 0 };
            if !lines.is_empty()
                && best.as_ref().is_none_or(|(n, most, ..)| (lines.len(), units) > (*n, *most))
            {
                best = Some((lines.len(), units, warehouse, lines));
            }
        }
        let Some((_, _, warehouse, lines)) = best else { break };
        used.push(warehouse);
        for at in lines {
            take(&mut free, wants[at].sku, warehouse, wants[at].units);
            found[at] = Some(vec![Part { warehouse: warehouse.clone(), units: wants[at].units }]);
        }
    }
    if policy == Policy::Split {
        for (want, found) in wants.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            *found = divide(want, &mut free, order, &mut used);
        }
    }
    found
}

fn left(free: &Free, sku: &str, warehouse: &str) -> i64 {
    free.get(&(sku.to_owned(), warehouse.to_owned())).copied().unwrap_or(0).max(0)
}

fn take(free: &mut Free, sku: &str, warehouse: &str, units: u32) {
    *free.entry((sku.to_owned(), warehouse.to_owned())).or_default() -= i64::from(units);
}

/// Lines that a warehouse has as a whole, all of them together.
fn whole_lines(wants: &[Want<'_>], open: &[usize], free: &Free, warehouse: &str) -> Vec<usize> {
    let mut spoken_for: BTreeMap<&str, i64> = BTreeMap::new();
    let fits = |at: &&usize| {
        let want = &wants[**at];
        let taken = spoken_for.entry(want.sku).or_default();
        let fits = left(free, want.sku, warehouse) - *taken >= i64::from(want.units);
        *taken += if fits { i64::from(want.units) } else { 0 };
        fits
    };
    open.iter().filter(fits).copied().collect()
}

/// Units that a warehouse has of what is wanted.
fn units_of(wants: &[Want<'_>], open: &[usize], free: &Free, warehouse: &str) -> i64 {
    let mut skus: Vec<&str> = open.iter().map(|at| wants[*at].sku).collect();
    skus.sort_unstable();
    skus.dedup();
    skus.iter().map(|sku| left(free, sku, warehouse)).fold(0, i64::saturating_add)
}

/// Takes a line from several warehouses. None, and nothing taken: all of them together have too few.
fn divide<'o>(
    want: &Want<'_>,
    free: &mut Free,
    order: &'o [String],
    used: &mut Vec<&'o String>,
) -> Option<Vec<Part>> {
    let mut places: Vec<&String> = order.iter().collect();
    // Stable: what is equal stays in the preferred order.
    places.sort_by_key(|place| (!used.contains(place), -left(free, want.sku, place)));
    let (mut parts, mut missing) = (Vec::new(), want.units);
    for place in places {
        let there = u32::try_from(left(free, want.sku, place)).unwrap_or(u32::MAX);
        let units = missing.min(there);
        if units > 0 {
            parts.push((place, units));
            missing -= units;
        }
    }
    if missing > 0 {
        return None;
    }
    for (place, units) in &parts {
        take(free, want.sku, place, *units);
        if !used.contains(place) {
            used.push(place);
        }
    }
    Some(parts.into_iter().map(|(place, units)| Part { warehouse: place.clone(), units }).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn free(all: &[(&str, &str, i64)]) -> Free {
        all.iter().map(|(sku, place, n)| (((*sku).to_owned(), (*place).to_owned()), *n)).collect()
    }

    fn told(policy: Policy, wants: &[(&str, u32)], all: &[(&str, &str, i64)]) -> String {
        let wants: Vec<Want> = wants.iter().map(|(sku, units)| Want { sku, units: *units }).collect();
        let order = ["A", "B", "C"].map(str::to_owned);
        let chosen = choose(policy, &wants, &free(all), &order);
        let one = |parts: &Option<Vec<Part>>| match parts {
            None => "-".to_owned(),
            Some(parts) => {
                let parts = parts.iter().map(|part| format!("{}{}", part.warehouse, part.units));
                parts.collect::<Vec<_>>().join("+")
            }
        };
        chosen.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_warehouse_for_all_lines_goes_before_a_nearer_one_for_some() {
        let stock = [("x", "A", 9), ("x", "B", 1), ("y", "B", 1), ("x", "C", 5), ("y", "C", 5)];
        assert_eq!(told(Policy::Nearest, &[("x", 1), ("y", 1)], &stock), "B1 B1");
        assert_eq!(told(Policy::MostStock, &[("x", 1), ("y", 1)], &stock), "C1 C1");
        assert_eq!(told(Policy::Nearest, &[("x", 1)], &stock), "A1");
        assert_eq!(told(Policy::Nearest, &[("x", 6), ("y", 2)], &stock), "A6 C2", "no one has both");
        assert_eq!(told(Policy::Nearest, &[("x", 10), ("y", 2)], &stock), "- C2", "no one has ten");
    }

    #[test]
    fn a_line_is_divided_where_it_must_be_and_only_then() {
        let stock = [("x", "A", 2), ("x", "B", 3), ("x", "C", 4), ("y", "A", 1)];
        assert_eq!(told(Policy::Split, &[("x", 4)], &stock), "C4");
        assert_eq!(told(Policy::Split, &[("x", 6)], &stock), "C4+B2", "two parcels, not three");
        assert_eq!(told(Policy::Split, &[("x", 6), ("y", 1)], &stock), "A2+C4 A1", "A sends a parcel anyway");
        assert_eq!(told(Policy::Split, &[("x", 10)], &stock), "-");
        assert_eq!(
            told(Policy::Split, &[("x", 10), ("x", 9)], &stock),
            "- C4+B3+A2",
            "a refused line takes nothing"
        );
        assert_eq!(told(Policy::Nearest, &[("x", 6)], &stock), "-");
    }

    fn policy() -> impl Strategy<Value = Policy> {
        prop_oneof![Just(Policy::Chosen), Just(Policy::MostStock), Just(Policy::Nearest), Just(Policy::Split)]
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_and_one_warehouse_where_one_has_all(
            policy in policy(),
            wants in prop::collection::vec((0_usize..4, 1_u32..9), 1..6),
            stock in prop::collection::vec(-2_i64..15, 16),
            shuffled in Just((0..4).map(|n| format!("w{n}")).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let names = ["a", "b", "c", "d"];
            let wants: Vec<Want> =
                wants.iter().map(|(sku, units)| Want { sku: names[*sku], units: *units }).collect();
            let free: Free = (0..16)
                .map(|n| ((names[n / 4].to_owned(), format!("w{}", n % 4)), stock[n]))
                .collect();
            let chosen = choose(policy, &wants, &free, &shuffled);
            prop_assert_eq!(&chosen, &choose(policy, &wants, &free, &shuffled), "the same again");
            let mut taken = Free::new();
            for (want, parts) in wants.iter().zip(&chosen) {
                let Some(parts) = parts else { continue };
                prop_assert_eq!(parts.iter().map(|part| part.units).sum::<u32>(), want.units);
                prop_assert!(policy == Policy::Split || parts.len() == 1);
                prop_assert!(parts.iter().all(|part| part.units > 0));
                for part in parts {
                    *taken.entry((want.sku.to_owned(), part.warehouse.clone())).or_default() +=
                        i64::from(part.units);
                }
            }
            for (place, units) in &taken {
                prop_assert!(*units <= free[place].max(0), "{:?}: {} of {}", place, units, free[place]);
            }
            let has_all = |warehouse: &String| {
                names.iter().all(|sku| {
                    let units: i64 =
                        wants.iter().filter(|want| want.sku == *sku).map(|want| i64::from(want.units)).sum();
                    units <= left(&free, sku, warehouse)
                })
            };
            let full: Vec<&String> = shuffled.iter().filter(|place| has_all(place)).collect();
            if let Some(first) = full.first() {
                let places: std::collections::BTreeSet<&String> =
                    chosen.iter().flatten().flatten().map(|part| &part.warehouse).collect();
                prop_assert_eq!(places.len(), 1, "one parcel");
                prop_assert!(chosen.iter().all(Option::is_some));
                if matches!(policy, Policy::Nearest | Policy::Split) {
                    prop_assert_eq!(places.first().copied(), Some(*first), "the preferred one");
                }
            }
            // A line is refused only where there is not enough of it, everything else taken.
            for (want, _) in wants.iter().zip(&chosen).filter(|(_, parts)| parts.is_none()) {
                let rest = |place: &String| {
                    let key = (want.sku.to_owned(), place.clone());
                    left(&free, want.sku, place) - taken.get(&key).copied().unwrap_or(0)
                };
                let most = shuffled.iter().map(rest).max().unwrap_or(0);
                let all: i64 = shuffled.iter().map(rest).sum();
                let there = if policy == Policy::Split { all } else { most };
                prop_assert!(there < i64::from(want.units));
            }
        }
    }
}
