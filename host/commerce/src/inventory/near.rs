//! How near a warehouse is to an address.
//!
//! An address has no coordinates; a merchant may name the middle of countries, regions and postal areas in the settings
//! (`inventory.centroids`). Where the address lies in one of them and every warehouse in question has coordinates,
//! distance decides. Else it is, in this order: the same postal area (the first three characters), the same region, the
//! same country, any other. What is equal then goes by priority, then by id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Warehouse;
use crate::quote::Address;

/// A place on the globe, in millionths of a degree: exact, and to the metre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// North of the equator; -90,000,000 to 90,000,000.
    pub lat_e6: i32,
    /// East of Greenwich; -180,000,000 to 180,000,000.
    pub lon_e6: i32,
}

/// Characters of a postal code that name an area.
const AREA_CHARS: usize = 3;

impl Point {
    /// Whether it is on the globe.
    #[must_use]
    pub fn is_on_the_globe(self) -> bool {
        self.lat_e6.unsigned_abs() <= 90_000_000 && self.lon_e6.unsigned_abs() <= 180_000_000
    }

    /// How far another point is, squared and in no unit: for comparing. On a map that is true in the middle between both;
    /// warehouses that are that far apart that it errs are told apart all the same.
    #[must_use]
    pub fn squared_distance(self, other: Point) -> i128 {
        let north = i128::from(self.lat_e6) - i128::from(other.lat_e6);
        let east = (i128::from(self.lon_e6) - i128::from(other.lon_e6)).abs();
        let east = east.min(360_000_000 - east);
        // Bhaskara's cosine of degrees, wrong by less than 0.002: (32400 - 4x²) / (32400 + x²).
        let middle = (i128::from(self.lat_e6) + i128::from(other.lat_e6)) / 2;
        let square = middle * middle;
        let whole = 32_400 * 1_000_000_000_000;
        let east = east * (whole - 4 * square) / (whole + square);
        north * north + east * east
    }
}

/// The middle of the smallest area that an address lies in: `US:941`, `US-CA`, `US`.
#[must_use]
pub fn middle(centroids: &BTreeMap<String, Point>, address: &Address) -> Option<Point> {
    if address.country.is_empty() {
        return None;
    }
    let (country, code) = (&address.country, plain(&address.postal_code));
    let areas = (1..=code.chars().count()).rev().map(|chars| {
        let start: String = code.chars().take(chars).collect();
        format!("{country}:{start}")
    });
    let region = (!address.region.is_empty()).then(|| format!("{country}-{}", address.region));
    areas.chain(region).chain([country.clone()]).find_map(|name| centroids.get(&name).copied())
}

/// A postal code without blanks and dashes, in capitals.
fn plain(code: &str) -> String {
    code.chars().filter(|c| c.is_alphanumeric()).take(12).flat_map(char::to_uppercase).collect()
}

/// Puts warehouses into the order of their nearness to an address; without one, of priority.
pub fn sort(warehouses: &mut [Warehouse], address: Option<&Address>, centroids: &BTreeMap<String, Point>) {
    let nowhere = Address::default();
    let to = address.unwrap_or(&nowhere);
    let at = middle(centroids, to).filter(|_| warehouses.iter().all(|one| one.at.is_some()));
    warehouses.sort_by_cached_key(|one| {
        let distance = match (at, one.at) {
            (Some(to), Some(from)) => to.squared_distance(from),
            _ => steps(&one.address, to),
        };
        (distance, one.priority, one.id.clone())
    });
}

fn steps(from: &Address, to: &Address) -> i128 {
    let area =
        |address: &Address| -> String { plain(&address.postal_code).chars().take(AREA_CHARS).collect() };
    let same_country = !to.country.is_empty() && from.country == to.country;
    let same_region = !to.region.is_empty() && from.region.eq_ignore_ascii_case(&to.region);
    let same_area = area(to).chars().count() == AREA_CHARS && area(from) == area(to);
    match (same_country, same_area, same_region) {
        (false, ..) => 3,
        (true, true, _) => 0,
        (true, false, true) => 1,
        (true, false, false) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(country: &str, region: &str, code: &str) -> Address {
        Address {
            country: country.to_owned(),
            region: region.to_owned(),
            postal_code: code.to_owned(),
            ..Address::default()
        }
    }

    fn house(id: &str, address: Address, at: Option<(i32, i32)>, priority: u32) -> Warehouse {
        let at = at.map(|(lat_e6, lon_e6)| Point { lat_e6, lon_e6 });
        Warehouse { address, at, priority, ..Warehouse::unknown(id) }
    }

    fn order(mut all: Vec<Warehouse>, to: &Address, centroids: &BTreeMap<String, Point>) -> Vec<String> {
        sort(&mut all, Some(to), centroids);
        all.into_iter().map(|one| one.id).collect()
    }

    #[test]
    fn the_nearer_words_of_an_address_go_first_and_then_priority() {
        let all = vec![
            house("abroad", address("DE", "BE", "94105"), None, 1),
            house("b-far", address("US", "NY", "10001"), None, 9),
            house("a-far", address("US", "NY", "10001"), None, 9),
            house("first", address("US", "TX", "75001"), None, 1),
            house("state", address("US", "CA", "90001"), None, 50),
            house("town", address("US", "CA", "94 107"), None, 99),
        ];
        let to = address("US", "CA", "94105");
        let none = BTreeMap::new();
        assert_eq!(order(all.clone(), &to, &none), ["town", "state", "first", "a-far", "b-far", "abroad"]);
        assert_eq!(order(all, &Address::default(), &none)[..2], ["abroad", "first"], "no address: priority");
    }

    #[test]
    fn distance_decides_where_all_is_known() {
        let centroids: BTreeMap<String, Point> =
            [("US:941", (37_770_000, -122_420_000)), ("US", (39_800_000, -98_600_000))]
                .map(|(name, (lat_e6, lon_e6))| (name.to_owned(), Point { lat_e6, lon_e6 }))
                .into();
        let reno = house("reno", address("US", "NV", "89501"), Some((39_530_000, -119_810_000)), 9);
        let angeles = house("angeles", address("US", "CA", "90001"), Some((34_050_000, -118_240_000)), 1);
        let york = house("york", address("US", "NY", "10001"), Some((40_710_000, -74_010_000)), 1);
        let all = vec![york.clone(), angeles.clone(), reno.clone()];
        let to = address("US", "CA", "94105");
        assert_eq!(
            order(all.clone(), &to, &centroids),
            ["reno", "angeles", "york"],
            "nearer, over the border"
        );
        let to = address("US", "", "");
        assert_eq!(order(all, &to, &centroids), ["reno", "angeles", "york"], "the country's middle");
        let lost = Warehouse { at: None, ..york };
        let to = address("US", "CA", "94105");
        let some = order(vec![lost, reno, angeles], &to, &centroids);
        assert_eq!(some, ["angeles", "york", "reno"], "one without coordinates: by words");
    }

    #[test]
    fn the_globe_is_round_and_narrow_at_the_top() {
        let at = |lat: i32, lon: i32| Point { lat_e6: lat * 1_000_000, lon_e6: lon * 1_000_000 };
        let far = |a: Point, b: Point| a.squared_distance(b);
        assert!(far(at(0, 179), at(0, -179)) < far(at(0, 0), at(0, 3)));
        assert!(far(at(60, 0), at(60, 10)) < far(at(0, 0), at(0, 10)));
        // cos 60° is a half: ten degrees there are five here, to a part in a hundred.
        let (narrow, wide) = (far(at(60, 0), at(60, 10)), far(at(0, 0), at(0, 5)));
        assert!((narrow - wide).abs() * 50 < wide, "{narrow} {wide}");
        assert_eq!(far(at(90, 10), at(90, 170)), 0, "the pole");
        assert!(!at(91, 0).is_on_the_globe() && at(-90, 180).is_on_the_globe());
    }
}
