//! One case for a component: a JSON file with the input and what should come of it.
//!
//! ```json
//! {
//!   "about": "ten percent off from two units on",
//!   "now": "2026-01-01T00:00:00Z",
//!   "config": { "title": "Sale", "ppm": 100000 },
//!   "cart": { "lines": [{ "sku": "A", "price": 1000, "quantity": 2 }], "codes": ["SUMMER"] },
//!   "expected": { "ok": { "candidates": [] } }
//! }
//! ```

use crate::decode::DecodeError;
use crate::replay::Recorded;
use crate::short::{self, Short};
use crate::tables::{self, Table, TableError};
use crate::tree::Tree;
use crate::{Function, function};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use till_model::money::Currency;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Binding, Limits, Origin, Secret, Slot};

/// Longest fixture, bytes: the cart of 500 lines with its answer has a tenth of it.
const BYTES_MAX: u64 = 4 << 20;
/// Most cases in one folder.
const FILES_MAX: usize = 10_000;
/// The failures a case can expect: those that are the component's doing.
pub const FAILURES: [&str; 8] = [
    "trapped",
    "out-of-fuel",
    "out-of-memory",
    "stack-too-deep",
    "own-stack-too-deep",
    "too-slow",
    "output-too-large",
    "input-too-large",
];
/// The time of a call whose fixture names none.
const NOW: &str = "2026-01-01T00:00:00Z";

/// A fixture cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FixtureError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a fixture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is not JSON, or has a field that fixtures do not have.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is too long, or there are too many.
    #[error("{what}: {found}, at most {limit} are read; split it")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// A field is wrong.
    #[error("`{field}`: {what}")]
    Field {
        /// Where, for example `request.attempt.amount`.
        field: String,
        /// What is wrong, and what to write.
        what: String,
    },
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Problem {
    pub(crate) fn field(field: impl Into<String>, what: impl ToString) -> Problem {
        Problem::Field { field: field.into(), what: what.to_string() }
    }

    pub(crate) fn decode(base: &str, error: &DecodeError) -> Problem {
        Problem::field(format!("{base}{}", error.path()), error.what())
    }

    fn at(self, path: &Path) -> FixtureError {
        FixtureError { path: path.to_owned(), problem: self }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// What the case shows. For people.
    #[serde(default, rename = "about")]
    _about: Option<String>,
    /// Default: the slot's only function.
    #[serde(default)]
    function: Option<Function>,
    /// RFC 3339.
    #[serde(default)]
    now: Option<String>,
    #[serde(default)]
    context: Context,
    /// Default `{}`.
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    tables: BTreeMap<String, Table>,
    /// Test values only.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// Default: those of the recorded exchanges.
    #[serde(default)]
    origins: Option<Vec<Origin>>,
    #[serde(default)]
    http: Vec<Recorded>,
    #[serde(default)]
    limits: Limits,
    /// Short form of what to buy.
    #[serde(default)]
    cart: Option<Value>,
    /// Short form of the destination, for tax and shipping.
    #[serde(default)]
    ship_to: Option<Value>,
    /// The record of the contract, or the part of it that does not follow from the short forms.
    #[serde(default)]
    request: Option<Value>,
    #[serde(default)]
    expected: Option<Value>,
}

/// The context of a fixture; each field has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Context {
    merchant: Option<String>,
    channel: Option<String>,
    locale: Option<String>,
    currency: Option<String>,
    instance: Option<String>,
    step: Option<String>,
    entry: Option<u32>,
    attempt: Option<u32>,
    test_mode: Option<bool>,
    attributes: BTreeMap<String, String>,
}

/// What should come of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This answer.
    Ok(Tree),
    /// This typed error of the component.
    Error(Tree),
    /// No answer: a trap or a limit.
    Failure {
        /// One of [`FAILURES`].
        kind: String,
        /// A part of its text.
        contains: Option<String>,
    },
}

/// A case, ready to be run.
#[derive(Debug)]
pub struct Fixture {
    /// Where it came from.
    pub path: PathBuf,
    /// The name of the file without its ending.
    pub name: String,
    /// What is called.
    pub function: Function,
    /// With what, before defaults are filled in.
    pub request: Value,
    /// Comes first in every call.
    pub ctx: CallContext,
    /// What the component sees and reaches.
    pub binding: Arc<Binding>,
    /// What it may use.
    pub limits: Limits,
    /// Exchanges that are played to it.
    pub http: Vec<Recorded>,
    /// None: nothing is written yet.
    pub expected: Option<Expected>,
}

/// The fixtures of a folder, by name. Files that do not end in `.json` are not read.
///
/// # Errors
/// Where the folder cannot be read or has no fixture at all.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let io = |error| Problem::Io(error).at(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_file() && path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    if found.len() > FILES_MAX {
        let (found, limit) = (found.len() as u64, FILES_MAX as u64);
        return Err(Problem::TooMuch { what: "fixtures", found, limit }.at(folder));
    }
    found.sort();
    Ok(found)
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let size = std::fs::metadata(path)?.len();
    if size > BYTES_MAX {
        return Err(Problem::TooMuch { what: "bytes", found: size, limit: BYTES_MAX });
    }
    Ok(std::fs::read_to_string(path)?)
}

impl Fixture {
    /// Reads a case for a component of a slot.
    pub fn read(path: &Path, slot: Slot) -> Result<Fixture, FixtureError> {
        read_text(path).and_then(|text| Fixture::parse(path, &text, slot)).map_err(|problem| problem.at(path))
    }

    fn parse(path: &Path, text: &str, slot: Slot) -> Result<Fixture, Problem> {
        let written: Written = serde_json::from_str(text)?;
        let function = function_of(written.function, slot)?;
        for (index, exchange) in written.http.iter().enumerate() {
            if let Some(what) = exchange.contradiction() {
                return Err(Problem::field(format!("http[{index}]"), what));
            }
        }
        if !written.http.is_empty() && slot.is_pure() {
            return Err(Problem::field("http", format!("a component for {slot} has no network: remove it")));
        }
        let ctx = context(written.context, written.now.as_deref(), function, written.config.as_ref())?;
        let request = short::whole(&Short {
            function,
            cart: written.cart.as_ref(),
            ship_to: written.ship_to.as_ref(),
            request: written.request.as_ref(),
        })
        .map_err(|(field, what)| Problem::field(field, what))?;
        let origins = match written.origins {
            Some(origins) => origins,
            None => recorded_origins(&written.http)?,
        };
        let mut binding = Binding {
            secrets: written.secrets.into_iter().map(|(name, text)| (name, Secret::new(text))).collect(),
            allowed_origins: origins,
            allow_private_addresses: true, // Nothing is reached: the exchanges are played.
            ..Binding::default()
        };
        tables::put(&written.tables, path.parent().unwrap_or(Path::new(".")), &mut binding)?;
        let expected = written.expected.map(|expected| expectation(function, expected)).transpose()?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Fixture {
            path: path.to_owned(),
            name,
            function,
            request,
            ctx,
            binding: Arc::new(binding),
            limits: written.limits,
            http: written.http,
            expected,
        })
    }

    /// Writes another expectation into the file. Everything else of its text stays as it is.
    pub fn expect(path: &Path, expected: &Tree) -> Result<(), FixtureError> {
        let text = read_text(path).map_err(|problem| problem.at(path))?;
        let text = with_expected(&text, expected).map_err(|problem| problem.at(path))?;
        std::fs::write(path, text).map_err(|error| Problem::Io(error).at(path))
    }
}

fn function_of(written: Option<Function>, slot: Slot) -> Result<Function, Problem> {
    let all = || Function::of(slot).map(Function::as_str).collect::<Vec<_>>().join(", ");
    match written.or(Function::only_of(slot)) {
        Some(function) if function.slot() == slot => Ok(function),
        Some(other) => Err(Problem::field(
            "function",
            format!("`{other}` belongs to {}, this component fills {slot}: use {}", other.slot(), all()),
        )),
        None => Err(Problem::field("function", format!("is missing: {slot} has {}", all()))),
    }
}

fn context(
    written: Context,
    now: Option<&str>,
    function: Function,
    config: Option<&Value>,
) -> Result<CallContext, Problem> {
    let currency = written.currency.unwrap_or_else(|| "USD".to_owned());
    let exponent =
        Currency::from_code(&currency).map_err(|error| Problem::field("context.currency", error))?.exponent();
    let now: jiff::Timestamp = now
        .unwrap_or(NOW)
        .parse()
        .map_err(|error| Problem::field("now", format!("{error}; write a time of RFC 3339 like {NOW}")))?;
    let now_ms = u64::try_from(now.as_millisecond())
        .map_err(|_| Problem::field("now", "is before 1970: write a later time"))?;
    Ok(CallContext {
        merchant: written.merchant.unwrap_or_else(|| "test".to_owned()),
        channel: written.channel.unwrap_or_else(|| "web".to_owned()),
        locale: written.locale.unwrap_or_else(|| "en-US".to_owned()),
        currency,
        exponent,
        now_ms,
        instance: written.instance.unwrap_or_default(),
        step: written.step.unwrap_or_else(|| format!("test.{function}")),
        entry: written.entry.unwrap_or(1),
        attempt: written.attempt.unwrap_or(1),
        test_mode: written.test_mode.unwrap_or(true),
        config: config.map_or_else(|| "{}".to_owned(), Value::to_string),
        attributes: written.attributes.into_iter().collect(),
    })
}

fn recorded_origins(http: &[Recorded]) -> Result<Vec<Origin>, Problem> {
    let mut origins = Vec::new();
    for (index, exchange) in http.iter().enumerate() {
        let uri = &exchange.request.uri;
        let origin = uri.split_once("://").map(|(scheme, rest)| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            format!("{scheme}://{}", &rest[..end])
        });
        let field = || format!("http[{index}].request.uri");
        let origin = origin.ok_or_else(|| {
            Problem::field(field(), format!("`{uri}` is no whole address: write https://host/path"))
        })?;
        let origin: Origin = origin.parse().map_err(|error| Problem::field(field(), error))?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

fn expectation(function: Function, written: Value) -> Result<Expected, Problem> {
    const HOW: &str = "write {\"ok\": answer}, {\"error\": error} or {\"failure\": \"out-of-fuel\"}";
    let Value::Object(mut fields) = written else { return Err(Problem::field("expected", HOW)) };
    let contains = fields.remove("contains");
    let mut fields = fields.into_iter();
    let (Some((kind, value)), None) = (fields.next(), fields.next()) else {
        return Err(Problem::field("expected", HOW));
    };
    if contains.is_some() && kind != "failure" {
        return Err(Problem::field("expected.contains", "goes with `failure` only: remove it"));
    }
    match kind.as_str() {
        "ok" => function::answer(function, value)
            .map(Expected::Ok)
            .map_err(|error| Problem::decode("expected.ok", &error)),
        "error" => function::error(value)
            .map(Expected::Error)
            .map_err(|error| Problem::decode("expected.error", &error)),
        "failure" if value.as_str().is_some_and(|kind| !FAILURES.contains(&kind)) => {
            let what = format!("{value} is no failure of a component: use {}", FAILURES.join(", "));
            Err(Problem::field("expected.failure", what))
        }
        "failure" => match (value, contains) {
            (Value::String(kind), None) => Ok(Expected::Failure { kind, contains: None }),
            (Value::String(kind), Some(Value::String(text))) => {
                Ok(Expected::Failure { kind, contains: Some(text) })
            }
            _ => Err(Problem::field("expected.failure", "and `contains` are texts")),
        },
        other => Err(Problem::field(format!("expected.{other}"), HOW)),
    }
}

/// The text of a fixture with another `expected`.
fn with_expected(text: &str, expected: &Tree) -> Result<String, Problem> {
    #[derive(Deserialize)]
    struct Where<'a> {
        #[serde(borrow, default)]
        expected: Option<&'a RawValue>,
    }
    let indented = expected.pretty().replace('\n', "\n  ");
    let found: Where<'_> = serde_json::from_str(text)?;
    let (start, end, new) = match found.expected {
        Some(raw) => {
            // The raw value is a part of `text`: their distance is its place.
            let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            (start, start + raw.get().len(), indented)
        }
        None => {
            let close =
                text.rfind('}').expect("an object ends with a bracket, or it would not have been read");
            let before = text[..close].trim_end();
            let comma = if before.ends_with('{') { "" } else { "," };
            (before.len(), close, format!("{comma}\n  \"expected\": {indented}\n"))
        }
    };
    Ok(format!("{}{new}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, slot: Slot) -> Result<Fixture, String> {
        Fixture::parse(Path::new("x/case.json"), text, slot).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_short_fixture_is_a_whole_call() {
        let text = r#"{"now": "2026-02-03T04:05:06Z", "context": {"currency": "KWD", "testMode": false},
            "config": {"a": 1}, "cart": {"lines": [{"price": 5}]}, "expected": {"ok": {}}}"#;
        let fixture = parse(text, Slot::Promotion).unwrap();
        assert_eq!((fixture.name.as_str(), fixture.function), ("case", Function::Evaluate));
        assert_eq!((fixture.ctx.exponent, fixture.ctx.now_ms), (3, 1_770_091_506_000));
        assert_eq!((fixture.ctx.config.as_str(), fixture.ctx.test_mode), (r#"{"a":1}"#, false));
        assert!(matches!(fixture.expected, Some(Expected::Ok(_))));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_way_out() {
        let told = |text, slot| parse(text, slot).unwrap_err();
        assert!(told(r#"{"conifg": {}}"#, Slot::Tax).contains("unknown field `conifg`"));
        assert!(told(r#"{"context": {"curency": "USD"}}"#, Slot::Tax).contains("unknown field `curency`"));
        assert!(told(r#"{"context": {"currency": "XXX"}}"#, Slot::Tax).contains("`context.currency`"));
        assert!(told(r#"{"now": "yesterday"}"#, Slot::Tax).contains("RFC 3339"));
        assert!(told("{}", Slot::PaymentGateway).contains("get-capabilities, prepare, authorize"));
        assert!(told(r#"{"function": "find"}"#, Slot::Tax).contains("belongs to payment-gateway"));
        let http = r#"{"http": [{"request": {"method": "GET", "uri": "https://a/"}, "error": "timeout"}]}"#;
        assert!(told(http, Slot::Tax).contains("has no network"));
        for (expected, part) in [
            (r#"{"ok": {"candidate": []}}"#, "`expected.ok`: unknown field `candidate`"),
            (r#"{"error": {"Oops": {}}}"#, "unknown case `Oops`"),
            (r#"{"ok": {}, "error": {}}"#, "out-of-fuel"),
            (r#"{"ok": {}, "contains": "x"}"#, "goes with `failure` only"),
            (r#"{"failure": "out-of-feul"}"#, "no failure of a component: use trapped, out-of-fuel"),
        ] {
            let text = format!(r#"{{"expected": {expected}}}"#);
            let told = parse(&text, Slot::Promotion).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn the_origins_are_those_of_the_recording() {
        let text = r#"{"function": "find", "request": {"attempt": {"amount": {"minor": 5}}}, "http": [
            {"request": {"method": "GET", "uri": "https://a.example:8443/x?y"}, "error": "timeout"},
            {"request": {"method": "GET", "uri": "https://a.example:8443"}, "error": "timeout"}]}"#;
        let fixture = parse(text, Slot::PaymentGateway).unwrap();
        assert_eq!(fixture.binding.allowed_origins, ["https://a.example:8443".parse().unwrap()]);
        assert!(parse(&text.replace("https://a.example:8443/x?y", "/x"), Slot::PaymentGateway).is_err());
    }

    #[test]
    fn another_expectation_leaves_the_rest_of_the_text_alone() {
        let tree: Tree = serde_json::from_str(r#"{"ok":{"b":1,"a":[]}}"#).unwrap();
        let text = "{ \"now\":\t\"x\",\n  \"expected\": { \"ok\": {} },\n  \"config\": {} }\n";
        let new = with_expected(text, &tree).unwrap();
        assert_eq!(
            new,
            "{ \"now\":\t\"x\",\n  \"expected\": {\n    \"ok\": {\n      \"b\": 1,\n      \"a\": []\n    }\n  },\n  \"config\": {} }\n"
        );
        let without = with_expected("{\n  \"cart\": {}\n}\n", &tree).unwrap();
        assert!(without.starts_with("{\n  \"cart\": {},\n  \"expected\": {\n    \"ok\""), "{without}");
        assert!(without.ends_with("}\n}\n"), "{without}");
        assert_eq!(with_expected(&new, &tree).unwrap(), new);
    }
}
