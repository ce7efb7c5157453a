//! Text messages, through a provider of the merchant's that takes JSON over HTTP.
//!
//! `Idempotency-Key` is the event's id, the same for all tries.

use serde_json::Value;
use till_store::Error as StoreError;
use till_store::tables::event::EventRow;

use super::{Due, switched_off};
use crate::events::Events;
use crate::events::deliver::{ANSWER_TIME, Came, cut};

impl Events {
    /// Tries a text message once.
    pub(in crate::events) async fn text(&self, merchant: &str, event: &EventRow) -> Result<Came, StoreError> {
        let due = match Due::of(self, merchant, event, |sent, channels| sent.texts() && channels.sms).await? {
            Ok(due) => due,
            Err(came) => return Ok(came),
        };
        let Some(provider) = &due.settings.notifications.sms else { return Ok(switched_off()) };
        let text = match due.source.fill_sms(&due.context) {
            Ok(text) => text,
            // The merchant may mend the template meanwhile.
            Err(error) => return Ok(Came::Later(cut(&error.to_string()), None)),
        };
        let gaps = [("{to}", due.about.customer.phone.as_str()), ("{text}", &text), ("{id}", &event.id)];
        let body = fill(&provider.body, &gaps).to_string();
        let used = |name: &str| {
            let named = format!("{{secret:{name}}}");
            provider.headers.values().any(|value| value.contains(&named))
        };
        let secrets = match self.registry.secrets_for(merchant, used).await {
            Ok(secrets) => secrets,
            Err(error) => return Ok(Came::Later(cut(&error.to_string()), None)),
        };
        let mut headers: Vec<(&str, &str)> = vec![
            ("content-type", "application/json"),
            ("idempotency-key", &event.id),
            ("user-agent", "Till"),
        ];
        headers.extend(provider.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let private = provider.private_addresses;
        let answer = self.courier.post(&provider.url, &headers, body, private, ANSWER_TIME, &secrets).await;
        Ok(match answer {
            Ok(answer) => {
                let words = cut(&format!("{} {}", answer.status, answer.body.trim()));
                match answer.status {
                    200..=299 => Came::Taken(words),
                    // It is this message that is wrong, and it stays the same.
                    400 | 410 | 422 => Came::Never(words),
                    _ => Came::Later(words, answer.retry_after_s),
                }
            }
            Err(why) => Came::Later(cut(&why), None),
        })
    }
}

/// The provider's document with its gaps filled. Only texts have gaps, and what is put in stays a text.
fn fill(body: &Value, gaps: &[(&str, &str)]) -> Value {
    match body {
        Value::String(text) => {
            let mut filled = String::new();
            let mut rest = text.as_str();
            // From left to right, so that a gap in what was put in stays as it is.
            while let Some(start) = rest.find('{') {
                filled.push_str(&rest[..start]);
                rest = &rest[start..];
                let gap = gaps.iter().find(|(gap, _)| rest.starts_with(gap));
                let (gap, value) = gap.copied().unwrap_or(("{", "{"));
                filled.push_str(value);
                rest = &rest[gap.len()..];
            }
            Value::String(filled + rest)
        }
        Value::Array(all) => all.iter().map(|one| fill(one, gaps)).collect(),
        Value::Object(all) => {
            Value::Object(all.iter().map(|(name, one)| (name.clone(), fill(one, gaps))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gaps_are_filled_once_and_what_is_put_in_stays_a_text() {
        let body = json!({ "messages": [{ "to": "{to}", "body": "{text} {id}{x}" }], "{to}": 1 });
        let filled = fill(&body, &[("{to}", "+1\", \"x\": \""), ("{text}", "{id} {to}"), ("{id}", "evt_1")]);
        assert_eq!(
            filled,
            json!({ "messages": [{ "to": "+1\", \"x\": \"", "body": "{id} {to} evt_1{x}" }], "{to}": 1 })
        );
    }
}
