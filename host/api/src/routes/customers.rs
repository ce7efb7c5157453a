//! What a customer says of themselves: preferences.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::events::notify::{Channels, KINDS, Preferences, is_locale};
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{Fields, Json};

/// Where a kind of notification is told.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
struct ChannelsIn {
    /// `true` without.
    email: Option<bool>,
    /// `true` without; needs a phone number and a provider of the merchant's.
    sms: Option<bool>,
    /// `true` without.
    in_app: Option<bool>,
}

/// Preferences as they are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PreferencesIn {
    /// BCP 47: `de-AT`; the merchant's without.
    locale: Option<String>,
    /// By kind: `order_confirmation`, `payment_failed`, `order_shipped`, `out_for_delivery`, `order_delivered`,
    /// `delivery_failed`, `order_cancelled`, `feedback_request`.
    channels: Option<BTreeMap<String, ChannelsIn>>,
    /// May be told of offers; `false` without.
    marketing: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChannelsOut {
    email: bool,
    sms: bool,
    in_app: bool,
}

/// Preferences.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreferencesOut {
    /// `null`: the merchant's.
    locale: Option<String>,
    /// All kinds.
    #[schema(value_type = BTreeMap<String, ChannelsOut>)]
    channels: BTreeMap<&'static str, ChannelsOut>,
    marketing: bool,
}

impl From<Preferences> for PreferencesOut {
    fn from(wants: Preferences) -> PreferencesOut {
        let out = |Channels { email, sms, in_app }| ChannelsOut { email, sms, in_app };
        let channels = wants.all().map(|(kind, channels)| (kind, out(channels))).collect();
        PreferencesOut { channels, locale: wants.locale, marketing: wants.marketing }
    }
}

fn preferences_in(fields: &mut Fields<'_>) -> Preferences {
    let locale = fields.text("locale");
    if locale.as_ref().is_some_and(|locale| !is_locale(locale)) {
        fields.wrong("locale", "a BCP 47 tag such as `de` or `de-AT` is needed");
    }
    let channels = fields.object("channels", |kinds| {
        let read = |one: &mut Fields<'_>| Channels {
            email: one.flag("email").unwrap_or(true),
            sms: one.flag("sms").unwrap_or(true),
            in_app: one.flag("inApp").unwrap_or(true),
        };
        let all = KINDS
            .iter()
            .filter_map(|kind| Some((kind.name.to_owned(), kinds.object(kind.name, read).value()?)));
        all.collect::<BTreeMap<_, _>>()
    });
    let channels = channels.value().unwrap_or_default();
    Preferences { locale, channels, marketing: fields.flag("marketing").unwrap_or(false) }
}

/// Reads where and in which language the shopper is told of orders.
#[utoipa::path(get, path = "/api/v1/customers/me/preferences", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = PreferencesOut)))]
pub(crate) async fn wants(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let wants = app.events.preferences(&caller.merchant, &caller.sub).await?;
    json(StatusCode::OK, &PreferencesOut::from(wants))
}

/// Replaces where and in which language the shopper is told of orders; what is left out has its default.
#[utoipa::path(put, path = "/api/v1/customers/me/preferences", tag = "customers", security(("bearer" = [])),
    request_body = PreferencesIn, responses((status = 200, body = PreferencesOut)))]
pub(crate) async fn put_wants(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let wants = preferences_in(&mut fields);
    fields.finish()?;
    app.events.put_preferences(&caller.merchant, &caller.sub, &wants).await?;
    json(StatusCode::OK, &PreferencesOut::from(wants))
}
