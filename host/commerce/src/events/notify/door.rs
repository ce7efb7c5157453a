//! What a merchant does with notifications: words of its own, a look at them, and what became of deliveries.

use serde_json::{Value, json};
use till_store::Error as StoreError;
use till_store::tables::event::{DeliveryFilter, DeliveryState, STATES};
use till_store::tables::notify::TemplateRow;

use super::template::{self, Rendered, Source};
use super::{CHANNELS, Kind, Spoken, context, is_locale, sample, words};
use crate::catalog::parse;
use crate::events::{About, Audience, Events, Replay};

/// Languages of one kind.
const LOCALES_MAX: i64 = 50;

/// Why words are not taken, or nothing is found.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// There is none.
    #[error("find {what} `{id}`")]
    NotFound {
        /// What was sought.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// A field is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The limit and what to do; for a template its line.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Words as a merchant gives them: what is none stays as it is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Subject of the mail.
    pub subject: Option<String>,
    /// The mail as text.
    pub text: Option<String>,
    /// The mail as HTML.
    pub html: Option<String>,
    /// The text message.
    pub sms: Option<String>,
}

/// Words of a merchant's own, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTemplate {
    /// `order_confirmation`
    pub kind: String,
    /// `de-AT`
    pub locale: String,
    /// Epoch microseconds.
    pub updated_us: i64,
}

/// Words as they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The words.
    pub source: Source,
    /// Epoch microseconds; none: they are built in.
    pub updated_us: Option<i64>,
}

/// Which deliveries are listed. What is none does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeliverySought {
    /// Id or number of an order.
    pub order: Option<String>,
    /// `email`, `sms` or `nats`.
    pub channel: Option<String>,
    /// `waiting`, `delivered` or `dead`.
    pub state: Option<String>,
}

fn kind_named(name: &str) -> Result<&'static Kind, NotifyError> {
    Kind::named(name)
        .ok_or_else(|| NotifyError::NotFound { what: "kind of notification", id: name.to_owned() })
}

fn locale_named(locale: &str) -> Result<(), NotifyError> {
    match is_locale(locale) {
        true => Ok(()),
        false => Err(field("locale", "a BCP 47 tag such as `de` or `de-AT`")),
    }
}

fn field(field: &'static str, why: impl Into<String>) -> NotifyError {
    NotifyError::Field { field, why: why.into() }
}

/// The channel of this name.
fn channel_named(name: &str) -> Result<&'static str, NotifyError> {
    let known = CHANNELS.into_iter().find(|known| *known == name);
    known.ok_or_else(|| field("channel", format!("one of `{}` is needed", CHANNELS.join("`, `"))))
}

/// The words of a draft; those built in for the language where it has none.
fn whole(kind: &Kind, locale: &str, draft: Draft, now: Option<Source>) -> Result<Source, NotifyError> {
    let language = locale.split('-').next().unwrap_or_default();
    let built_in = words::of(locale).or_else(|| words::of(language)).map(|words| words.source(kind));
    let now = now.or(built_in);
    let part = |name, given: Option<String>, of: fn(&Source) -> &String| {
        given.or_else(|| now.as_ref().map(|now| of(now).clone())).ok_or_else(|| {
            let known = words::LANGUAGES.join("`, `");
            field(name, format!("it is needed: nothing is built in for `{locale}`, only for `{known}`"))
        })
    };
    Ok(Source {
        subject: part("subject", draft.subject, |now| &now.subject)?,
        text: part("text", draft.text, |now| &now.text)?,
        html: part("html", draft.html, |now| &now.html)?,
        sms: part("sms", draft.sms, |now| &now.sms)?,
    })
}

impl Events {
    /// The words for a kind in a language: the merchant's own, else those built in.
    ///
    /// # Errors
    /// There is no such kind, or nothing in that language.
    pub async fn template(&self, merchant: &str, kind: &str, locale: &str) -> Result<Shown, NotifyError> {
        let kind = kind_named(kind)?;
        locale_named(locale)?;
        let own = self.store.read().await?.templates(merchant, kind.name).await?;
        if let Some(row) = own.iter().find(|row| row.locale == locale) {
            return Ok(Shown { source: parse(&row.body)?, updated_us: Some(row.updated_us) });
        }
        let source = words::of(locale).map(|words| words.source(kind));
        let source =
            source.ok_or_else(|| NotifyError::NotFound { what: "template in", id: locale.to_owned() })?;
        Ok(Shown { source, updated_us: None })
    }

    /// Words of a merchant's own, by kind and language.
    ///
    /// # Errors
    /// The store's.
    pub async fn own_templates(&self, merchant: &str) -> Result<Vec<OwnTemplate>, NotifyError> {
        let rows = self.store.read().await?.templates(merchant, "").await?;
        let own =
            |row: TemplateRow| OwnTemplate { kind: row.kind, locale: row.locale, updated_us: row.updated_us };
        Ok(rows.into_iter().map(own).collect())
    }

    /// Takes a merchant's own words for a kind in a language, after filling them for a sample order.
    ///
    /// # Errors
    /// A part cannot be used: its line is told.
    pub async fn put_template(
        &self,
        merchant: &str,
        kind: &str,
        locale: &str,
        draft: Draft,
    ) -> Result<Shown, NotifyError> {
        let kind = kind_named(kind)?;
        locale_named(locale)?;
        let source = whole(kind, locale, draft, None)?;
        let settings = Audience::settings_of(&mut self.store.read().await?, merchant).await?;
        filled(&source, &sample(&settings, &Spoken::these([locale])))?;
        let body = serde_json::to_string(&source).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let updated_us = self.clock.now_us();
        let row = TemplateRow { kind: kind.name.to_owned(), locale: locale.to_owned(), body, updated_us };
        let owner = merchant.to_owned();
        let put = self.store.transact(move |tx| {
            let (owner, row) = (owner.clone(), row.clone());
            Box::pin(async move { tx.put_template(&owner, &row, LOCALES_MAX).await })
        });
        if !put.await? {
            return Err(field(
                "locale",
                format!("the kind has {LOCALES_MAX} languages; take one away first"),
            ));
        }
        Ok(Shown { source, updated_us: Some(updated_us) })
    }

    /// Takes a merchant's own words away: those built in are used from then on.
    ///
    /// # Errors
    /// There are none.
    pub async fn drop_template(&self, merchant: &str, kind: &str, locale: &str) -> Result<(), NotifyError> {
        let kind = kind_named(kind)?;
        let (owner, tag) = (merchant.to_owned(), locale.to_owned());
        let dropped = self.store.transact(move |tx| {
            let (owner, tag) = (owner.clone(), tag.clone());
            Box::pin(async move { tx.drop_template(&owner, kind.name, &tag).await })
        });
        match dropped.await? {
            true => Ok(()),
            false => Err(NotifyError::NotFound { what: "template in", id: locale.to_owned() }),
        }
    }

    /// Fills words, those of a draft before those in use, for an order of the merchant's or a sample.
    ///
    /// # Errors
    /// There is no such order, or a part cannot be used.
    pub async fn preview(
        &self,
        merchant: &str,
        kind: &str,
        locale: &str,
        draft: Draft,
        order: Option<&str>,
    ) -> Result<Rendered, NotifyError> {
        let kind = kind_named(kind)?;
        locale_named(locale)?;
        let mut tx = self.store.read().await?;
        let settings = Audience::settings_of(&mut tx, merchant).await?;
        let own = tx.templates(merchant, kind.name).await?;
        let spoken = Spoken::these([locale]);
        let data = match order {
            None => sample(&settings, &spoken),
            Some(id) => {
                let id = order_id(&mut tx, merchant, id).await?;
                let fact = json!({ "status": kind.status });
                let about = About::of(&mut tx, merchant, &id, fact).await?;
                let about = about.ok_or(NotifyError::NotFound { what: "order", id })?;
                context(&about, &settings, &spoken, self.clock.now_us())
            }
        };
        drop(tx);
        let now = template::best(&own, kind, &spoken)?;
        filled(&whole(kind, locale, draft, Some(now))?, &data)
    }

    /// Deliveries of notifications, newest event first, before a place in the list.
    ///
    /// # Errors
    /// There is no such channel, state or order.
    pub async fn notification_deliveries(
        &self,
        merchant: &str,
        sought: &DeliverySought,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<DeliveryState>, NotifyError> {
        let mut filter = DeliveryFilter::default();
        match &sought.channel {
            Some(channel) => filter.targets[0] = channel_named(channel)?.to_owned(),
            None => {
                for (target, channel) in filter.targets.iter_mut().zip(CHANNELS) {
                    *target = channel.to_owned();
                }
            }
        }
        if let Some(state) = &sought.state {
            let known = STATES.iter().find(|(name, _)| name == state);
            let (_, number) = known.ok_or_else(|| {
                field("state", format!("one of `{}` is needed", STATES.map(|(name, _)| name).join("`, `")))
            })?;
            filter.state = Some(*number);
        }
        let mut tx = self.store.read().await?;
        if let Some(order) = &sought.order {
            filter.subject = order_id(&mut tx, merchant, order).await?;
        }
        Ok(tx.deliveries_of(merchant, &filter, before, limit).await?)
    }

    /// Sends notifications of a channel again, those about one order or all. Gives how many.
    ///
    /// # Errors
    /// There is no such channel or order.
    pub async fn replay_notifications(
        &self,
        merchant: &str,
        channel: &str,
        order: Option<&str>,
        what: Replay,
    ) -> Result<u64, NotifyError> {
        let channel = channel_named(channel)?;
        let subject = match order {
            Some(order) => order_id(&mut self.store.read().await?, merchant, order).await?,
            None => String::new(),
        };
        let (owner, now_us) = (merchant.to_owned(), self.clock.now_us());
        let again = self.store.transact(move |tx| {
            let (owner, subject) = (owner.clone(), subject.clone());
            Box::pin(
                async move { tx.replay(&owner, channel, &subject, what.from, what.dead_only, now_us).await },
            )
        });
        Ok(again.await?)
    }
}

fn filled(source: &Source, data: &Value) -> Result<Rendered, NotifyError> {
    source.fill(data).map_err(|error| field(error.part, format!("line {}: {}", error.line, error.why)))
}

/// An order by id or number.
async fn order_id(tx: &mut till_store::Tx, merchant: &str, order: &str) -> Result<String, NotifyError> {
    let row = match tx.order(merchant, order).await? {
        Some(row) => Some(row),
        None => tx.order_by_number(merchant, order).await?,
    };
    row.map(|row| row.id).ok_or_else(|| NotifyError::NotFound { what: "order", id: order.to_owned() })
}
