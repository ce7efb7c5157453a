//! Who of a merchant may do what: areas, scopes, roles.
//!
//! A scope opens an area (`catalog`) or the reading of it (`catalog:read`). A role is a word for a set of scopes: those
//! here are every merchant's, and a merchant adds its own. Tokens and API keys carry scopes, roles or both.

use std::fmt;

/// What the routes of merchants are divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Products, price lists, import and export.
    Catalog,
    /// Stock, warehouses, reservations.
    Inventory,
    /// Customers and their points.
    Customers,
    /// Campaigns and codes.
    Promotions,
    /// Gift cards.
    GiftCards,
    /// Orders' parcels and what is given back for orders.
    Orders,
    /// Notifications: words, deliveries.
    Notifications,
    /// The log of events and endpoints.
    Events,
    /// Figures.
    Analytics,
    /// Components, bindings, tables, secrets.
    Components,
    /// Settings, counters, breakers.
    Settings,
    /// API keys, roles, the audit log.
    Access,
}

impl Area {
    /// All of them.
    pub const ALL: [Area; 12] = [
        Area::Catalog,
        Area::Inventory,
        Area::Customers,
        Area::Promotions,
        Area::GiftCards,
        Area::Orders,
        Area::Notifications,
        Area::Events,
        Area::Analytics,
        Area::Components,
        Area::Settings,
        Area::Access,
    ];

    /// The scope that opens it; with `:read`, the one that opens the reading of it.
    pub fn scope(self) -> &'static str {
        match self {
            Area::Catalog => "catalog",
            Area::Inventory => "inventory",
            Area::Customers => "customers",
            Area::Promotions => "promotions",
            Area::GiftCards => "gift-cards",
            Area::Orders => "orders",
            Area::Notifications => "notifications",
            Area::Events => "events",
            Area::Analytics => "analytics",
            Area::Components => "components",
            Area::Settings => "settings",
            Area::Access => "access",
        }
    }
}

/// What is wanted: of whom a scope is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To read an area.
    Read(Area),
    /// To change an area.
    Change(Area),
    /// To see and move all instances, and to decide on payments: `admin` alone does not open it.
    Operate,
}

/// Opens all areas.
pub const ADMIN: &str = "admin";
/// Opens the reading of all areas.
pub const ADMIN_READ: &str = "admin:read";
/// Opens instances of all customers.
pub const OPERATOR: &str = "operator";
/// Opens the reading of an area, behind its scope.
const READ: &str = ":read";

impl Wanted {
    /// Whether one of these scopes is enough.
    pub fn in_scopes<'s>(self, mut scopes: impl Iterator<Item = &'s str>) -> bool {
        let all = |scope: &str| scope == ADMIN;
        match self {
            Wanted::Operate => scopes.any(|scope| scope == OPERATOR),
            Wanted::Change(area) => scopes.any(|scope| all(scope) || scope == area.scope()),
            Wanted::Read(area) => scopes.any(|scope| {
                let read = scope.strip_suffix(READ);
                all(scope) || scope == ADMIN_READ || read.unwrap_or(scope) == area.scope()
            }),
        }
    }
}

impl fmt::Display for Wanted {
    /// The narrowest scope that is enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Operate => f.write_str(OPERATOR),
            Wanted::Change(area) => f.write_str(area.scope()),
            Wanted::Read(area) => write!(f, "{}{READ}", area.scope()),
        }
    }
}

/// All that a scope opens; none: there is no such scope.
pub fn opens(scope: &str) -> Option<Vec<Wanted>> {
    let all = Area::ALL.into_iter().flat_map(|area| [Wanted::Read(area), Wanted::Change(area)]);
    let opened: Vec<Wanted> =
        all.chain([Wanted::Operate]).filter(|wanted| wanted.in_scopes(std::iter::once(scope))).collect();
    (!opened.is_empty()).then_some(opened)
}

/// All scopes, for people.
pub fn scopes() -> Vec<String> {
    let areas = Area::ALL.into_iter();
    let of_areas = areas.flat_map(|area| [area.scope().to_owned(), format!("{}{READ}", area.scope())]);
    [ADMIN, ADMIN_READ, OPERATOR].map(str::to_owned).into_iter().chain(of_areas).collect()
}

/// A role that every merchant has.
#[derive(Debug, Clone, Copy)]
pub struct BuiltInRole {
    /// Name.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// What it opens.
    pub scopes: &'static [&'static str],
}

/// Roles that every merchant has.
pub const ROLES: [BuiltInRole; 7] = [
    BuiltInRole {
        name: "owner",
        description: "Everything, with instances and payments under review",
        scopes: &[ADMIN, OPERATOR],
    },
    BuiltInRole { name: "analyst", description: "Reads everything", scopes: &[ADMIN_READ] },
    BuiltInRole {
        name: "catalog",
        description: "Keeps products and their stock",
        scopes: &["catalog", "inventory", "analytics:read"],
    },
    BuiltInRole {
        name: "developer",
        description: "Works on components and endpoints",
        scopes: &["components", "events", "settings:read"],
    },
    BuiltInRole {
        name: "fulfilment",
        description: "Packs and sends parcels, counts stock",
        scopes: &["orders", "inventory", "catalog:read"],
    },
    BuiltInRole {
        name: "marketing",
        description: "Runs campaigns and writes to customers",
        scopes: &["promotions", "gift-cards", "notifications", "catalog:read", "analytics:read"],
    },
    BuiltInRole {
        name: "support",
        description: "Helps customers with orders, points and messages",
        scopes: &[
            "customers",
            "orders",
            "notifications",
            "gift-cards:read",
            "catalog:read",
            "inventory:read",
            "promotions:read",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn open(scopes: &str, wanted: Wanted) -> bool {
        wanted.in_scopes(scopes.split_ascii_whitespace())
    }

    #[test]
    fn a_scope_opens_its_area_and_read_the_reading_of_it() {
        for area in Area::ALL {
            let (whole, read) = (area.scope(), format!("{}:read", area.scope()));
            assert!(open(whole, Wanted::Read(area)) && open(whole, Wanted::Change(area)));
            assert!(open(&read, Wanted::Read(area)) && !open(&read, Wanted::Change(area)));
            assert!(open("x admin", Wanted::Change(area)));
            assert!(open("admin:read", Wanted::Read(area)) && !open("admin:read", Wanted::Change(area)));
            for other in Area::ALL.into_iter().filter(|other| *other != area) {
                assert!(!open(whole, Wanted::Read(other)), "{whole} opens {other:?}");
            }
        }
        assert!(open("operator", Wanted::Operate) && !open("admin admin:read", Wanted::Operate));
        for wrong in ["administrator", "catalog:write", "*", ":read", "", "Admin"] {
            assert_eq!(opens(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn roles_are_made_of_scopes_that_there_are() {
        for role in ROLES {
            assert!(role.scopes.iter().all(|scope| opens(scope).is_some()), "{}", role.name);
        }
    }
}
