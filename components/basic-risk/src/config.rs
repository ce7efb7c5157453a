//! The configuration, as the merchant writes it. A rule that is left out is not looked at.

use crate::bindings::exports::till::checkout::risk_rules::Decision;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub declines: Option<Declines>,
    pub first_order: Option<FirstOrder>,
    pub countries: Option<Countries>,
    pub velocity: Option<Velocity>,
    pub emails: Option<Emails>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    Review,
    Deny,
}

impl From<Then> for Decision {
    fn from(then: Then) -> Decision {
        match then {
            Then::Review => Decision::Review,
            Then::Deny => Decision::Deny,
        }
    }
}

fn review() -> Then {
    Then::Review
}

fn deny() -> Then {
    Then::Deny
}

fn blocked_domains() -> String {
    "blocked-domains".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declines {
    pub max: u32,
    #[serde(default = "deny")]
    pub then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstOrder {
    pub currency: String,
    /// Minor units.
    pub max: i64,
    #[serde(default = "review")]
    pub then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countries {
    #[serde(default = "review")]
    pub then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    pub hour_max: Option<u32>,
    pub day_max: Option<u32>,
    #[serde(default = "review")]
    pub then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emails {
    #[serde(default = "blocked_domains")]
    pub table: String,
    #[serde(default = "deny")]
    pub then: Then,
}
