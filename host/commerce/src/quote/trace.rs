//! Messages for people and the decision trace, as data.

use serde::{Deserialize, Serialize};
use till_sandbox::wit::{promotion as wit_promotion, types as wit};

use super::{Quote, Stage, is_default};

/// Longest text kept of a component, in characters. A reason is a sentence; a component that writes a
/// page has its log for that.
const TEXT_CHARS_MAX: usize = 200;
/// Most messages a quote keeps. A shopper reads a handful.
const MESSAGES_MAX: usize = 100;
/// Most trace entries a quote keeps: four for each of 100 lines. Larger carts lose the tail, and the
/// last entry says so, so that a quote never outgrows the instance's context.
const TRACE_MAX: usize = 400;
/// Most reasons kept for one entry.
const REASONS_MAX: usize = 8;

pub(super) fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// The checkout cannot be completed until it is mended.
    Error,
    /// Something is not as the shopper might expect.
    Warning,
    /// Good to know.
    Info,
}

/// Who can mend what a message speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The client, by another call.
    Recoverable,
    /// The buyer must type or choose something.
    NeedsBuyerInput,
    /// The buyer must look at it and agree.
    NeedsBuyerReview,
    /// Nobody, in this checkout.
    Final,
}

/// A message to the shopper or the merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The stage it came up in.
    pub stage: Stage,
    /// Name of the component, or [`super::HOST`].
    pub by: String,
    /// What it is.
    pub kind: MessageKind,
    /// Who can mend it.
    pub severity: Severity,
    /// Stable, lowercase with hyphens.
    pub code: String,
    /// What it is about, as a JSON path into the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For people.
    pub text: String,
}

impl Message {
    pub(crate) fn new(by: &str, kind: MessageKind, severity: Severity, code: &str, text: &str) -> Message {
        let (by, code, text) = (by.to_owned(), cut(code), cut(text));
        Message { stage: Stage::Price, by, kind, severity, code, path: None, text }
    }

    pub(crate) fn about(self, path: impl Into<String>) -> Message {
        Message { path: Some(cut(&path.into())), ..self }
    }

    fn from_wit(by: &str, message: &wit::Message) -> Message {
        let kind = match message.kind {
            wit::MessageKind::Error => MessageKind::Error,
            wit::MessageKind::Warning => MessageKind::Warning,
            wit::MessageKind::Info => MessageKind::Info,
        };
        let severity = match message.severity {
            wit::Severity::Recoverable => Severity::Recoverable,
            wit::Severity::NeedsBuyerInput => Severity::NeedsBuyerInput,
            wit::Severity::NeedsBuyerReview => Severity::NeedsBuyerReview,
            wit::Severity::Final => Severity::Final,
        };
        let made = Message::new(by, kind, severity, &message.code, &message.text);
        Message { path: message.path.as_deref().map(cut), ..made }
    }
}

/// Why, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, lowercase with hyphens.
    pub code: String,
    /// For people.
    pub text: String,
}

impl Reason {
    pub(crate) fn new(code: &str, text: &str) -> Reason {
        Reason { code: cut(code), text: cut(text) }
    }

    pub(super) fn from_wit(reason: &wit::Reason) -> Reason {
        Reason::new(&reason.code, &reason.text)
    }
}

pub(super) fn reasons(from: &[wit::Reason]) -> Vec<Reason> {
    from.iter().take(REASONS_MAX).map(Reason::from_wit).collect()
}

/// What a shopper would have to do for a promotion to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// For example `spend-more`.
    pub code: String,
    /// Minor units, units or milliseconds, by the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// For people.
    pub text: String,
}

impl Missing {
    pub(super) fn from_wit(missing: &wit_promotion::Missing) -> Missing {
        Missing { code: cut(&missing.code), quantity: missing.quantity, text: cut(&missing.text) }
    }
}

/// What a trace entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A line got its price.
    Priced,
    /// A line cannot be sold.
    Unavailable,
    /// A discount was taken.
    Applied,
    /// A proposed discount was not taken, by the host.
    NotApplied,
    /// A component said no to a promotion or a code.
    Refused,
    /// Points were used.
    PointsUsed,
    /// A shipping option was chosen.
    Chosen,
    /// A tax was computed.
    Taxed,
    /// A binding was left out by its failure policy.
    Omitted,
    /// Another component answered for a binding, by its failure policy.
    FellBack,
    /// Later entries were dropped for size.
    Cut,
}

/// One line of the decision trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// The stage.
    pub stage: Stage,
    /// Name of the component, or [`super::HOST`]; its digest is in [`Quote::priced_by`].
    pub by: String,
    /// What happened.
    pub what: What,
    /// To which line, promotion, code or option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Signed: what is taken off is negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reasons: Vec<Reason>,
    /// What is missing for it to apply.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Vec<Missing>,
}

impl TraceEntry {
    pub(crate) fn new(stage: Stage, by: &str, what: What) -> TraceEntry {
        let (by, reasons, missing) = (by.to_owned(), Vec::new(), Vec::new());
        TraceEntry { stage, by, what, subject: None, amount: None, reasons, missing }
    }

    pub(super) fn of(self, subject: &str) -> TraceEntry {
        TraceEntry { subject: Some(cut(subject)), ..self }
    }

    pub(super) fn amount(self, amount: i64) -> TraceEntry {
        TraceEntry { amount: Some(amount), ..self }
    }

    pub(super) fn because(self, reasons: Vec<Reason>) -> TraceEntry {
        TraceEntry { reasons, ..self }
    }

    pub(super) fn missing(self, missing: Vec<Missing>) -> TraceEntry {
        TraceEntry { missing, ..self }
    }
}

impl Quote {
    pub(crate) fn say(&mut self, stage: Stage, message: Message) {
        let message = Message { stage, ..message };
        if self.messages.len() < MESSAGES_MAX {
            self.messages.push(message);
        } else if let Some(last) = self.messages.last_mut()
            && message.kind == MessageKind::Error
        {
            *last = message; // An error stops the checkout, so it is never the one that is dropped.
        }
    }

    pub(super) fn say_all(&mut self, stage: Stage, by: &str, messages: &[wit::Message]) {
        for message in messages {
            self.say(stage, Message::from_wit(by, message));
        }
    }

    pub(crate) fn note(&mut self, entry: TraceEntry) {
        match self.trace.len() {
            len if len < TRACE_MAX => self.trace.push(entry),
            TRACE_MAX => self.trace.push(TraceEntry::new(entry.stage, super::HOST, What::Cut)),
            _ => {}
        }
    }
}
