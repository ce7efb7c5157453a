//! Requests: bodies and headers, read exactly and checked field by field.
//!
//! A body is never put through a generic value first: numbers keep their digits, unknown fields and fields
//! given twice are told by name, and all wrong fields are told at once. Start at [`Fields`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use till_commerce::settings::Settings;
use till_model::money::{Currency, Money};
use till_sandbox::TABLE_BYTES_MAX;

use crate::App;
use crate::problem::{Code, FieldError, Problem};
use crate::upload::Place;

/// Largest ordinary body. A cart of 500 lines has 60 kB; addresses and notes add a few.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest push: a component in base64 with its configuration and small tables.
pub(crate) const PUSH_BYTES_MAX: usize = 48 << 20;
/// Largest table as text: quotes and commas come on top of what is kept.
pub(crate) const TABLE_TEXT_BYTES_MAX: usize = TABLE_BYTES_MAX + (64 << 20);
/// Longest time a body may take to arrive. 1 MiB comes through a 300 kbit/s line in that time.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// PostgreSQL keeps no text with it, so no id and no name has it.
const NUL: char = '\0';
/// What is told of a day that is none.
pub(crate) const A_DAY: &str = "a day is needed: `2024-08-10`";
const A_TIME: &str = "a time as RFC 3339 is needed: `2024-08-10T14:30:00Z`";
const NO_NUL: &str = "a text without the character NUL is needed";
/// Wrong fields told at once; more tell nothing new.
const ERRORS_MAX: usize = 50;
/// Longest `Prefer: wait`: proxies drop requests that are silent for longer.
pub(crate) const WAIT_MAX_S: u64 = 60;

/// A body as it came, of at most `MAX` bytes. A longer one that says so is refused without being read.
pub(crate) struct Raw<const MAX: usize>(pub(crate) Bytes);

impl<const MAX: usize> FromRequest<App> for Raw<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Raw<MAX>, Problem> {
        Ok(Raw(arrive(request, MAX, None).await?))
    }
}

/// A whole body of at most `max` bytes. An upload takes memory for it out of its place.
pub(crate) async fn arrive(
    request: Request,
    max: usize,
    place: Option<&mut Place<'_>>,
) -> Result<Bytes, Problem> {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(too_large(max));
    }
    match tokio::time::timeout(BODY_WAIT, collect(request.into_body(), max, length, place)).await {
        Ok(body) => body,
        Err(_) => {
            let seconds = BODY_WAIT.as_secs();
            Err(Problem::new(Code::RequestTimeout, format!("the body did not arrive within {seconds} s"))
                .header(header::CONNECTION, "close"))
        }
    }
}

async fn collect(
    mut body: Body,
    max: usize,
    length: Option<u64>,
    mut place: Option<&mut Place<'_>>,
) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Problem::new(Code::BadRequest, format!("the body broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > max {
            return Err(too_large(max));
        }
        if let Some(place) = &mut place {
            // Where the length is not told, the buffer grows, and is up to twice as large as what is in it.
            let factor = if length.is_some() { 1 } else { 2 };
            place.holds(factor * (first.len() + all.len() + data.len())).await?;
        }
        if first.is_empty() && all.is_empty() {
            first = data; // Most bodies are one piece, and stay it.
            continue;
        }
        if all.is_empty() {
            // An upload has its buffer at once; pages of it that nothing was written to take no memory.
            if let Some(length) = length.filter(|_| place.is_some()) {
                all.reserve(usize::try_from(length).unwrap_or(max).min(max));
            }
            all.extend_from_slice(&first);
            first = Bytes::new();
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(max: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body may have at most {max} bytes"))
        .with("max_bytes", &max)
        .header(header::CONNECTION, "close")
}

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Json<const MAX: usize = BODY_BYTES_MAX>(pub(crate) Bytes);

impl<const MAX: usize> FromRequest<App> for Json<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Json<MAX>, Problem> {
        Json::arrive(request, None).await
    }
}

impl<const MAX: usize> Json<MAX> {
    /// A whole body. An upload takes memory for it out of its place.
    pub(crate) async fn arrive(
        request: Request,
        place: Option<&mut Place<'_>>,
    ) -> Result<Json<MAX>, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?").to_owned());
        let body = arrive(request, MAX, place).await?;
        let essence =
            kind.as_deref().map(|k| k.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        match essence {
            None if body.is_empty() => Ok(Json(body)),
            Some(kind) if kind == "application/json" || kind.ends_with("+json") => Ok(Json(body)),
            found => {
                let found = found.unwrap_or_else(|| "none".to_owned());
                let detail = format!("send `Content-Type: application/json`, not `{found}`");
                Err(Problem::new(Code::UnsupportedMediaType, detail)
                    .header(header::ACCEPT, "application/json"))
            }
        }
    }

    /// The body as an object.
    pub(crate) fn fields(&self) -> Result<Fields<'_>, Problem> {
        Fields::of(&self.0)
    }

    /// The body as an object; an empty body is an empty object.
    pub(crate) fn fields_or_none(&self) -> Result<Fields<'_>, Problem> {
        Fields::of(if self.0.is_empty() { b"{}" } else { &self.0 })
    }

    /// The body as a document that has its own rules.
    pub(crate) fn document<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.0).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::field("$", error.to_string()),
            _ => malformed(&error),
        })
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let detail = match text.contains(" at line ") {
        true => text,
        false => format!("{text} at line {} column {}", error.line(), error.column()),
    };
    Problem::new(Code::MalformedJson, detail).with("line", &error.line()).with("column", &error.column())
}

/// What is given for a field.
pub(crate) enum Given<T> {
    /// The field is not there, or is wrong and noted so.
    Nothing,
    /// The field is `null`.
    Null,
    /// A value.
    Value(T),
}

/// Limits of an object of texts.
pub(crate) struct Texts {
    /// Fields.
    pub(crate) most: usize,
    /// Characters of a name.
    pub(crate) name_max: usize,
    /// Characters of a text.
    pub(crate) text_max: usize,
    /// Names and texts together, as they were sent.
    pub(crate) bytes_max: usize,
}

/// The fields of an object, taken one by one. What is wrong is noted; [`Fields::finish`] tells all of it.
pub(crate) struct Fields<'b> {
    at: String,
    given: Vec<(String, &'b RawValue)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

struct Members<'b>(Vec<(String, &'b RawValue)>);

impl<'de: 'b, 'b> serde::Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'b>(std::marker::PhantomData<&'b ()>);
        impl<'de: 'b, 'b> Visitor<'de> for All<'b> {
            type Value = Members<'b>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'b>, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    all.push((name, map.next_value::<&RawValue>()?));
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All(std::marker::PhantomData))
    }
}

impl<'b> Fields<'b> {
    /// The fields of a body.
    pub(crate) fn of(body: &'b [u8]) -> Result<Fields<'b>, Problem> {
        match serde_json::from_slice::<Members<'b>>(body) {
            Ok(Members(given)) => Ok(Fields::over(String::new(), given)),
            Err(error) if error.is_data() => Err(Problem::field("$", "an object is needed: `{…}`")),
            Err(error) => Err(malformed(&error)),
        }
    }

    /// Fields whose paths begin with a place.
    pub(crate) fn over(at: String, given: Vec<(String, &'b RawValue)>) -> Fields<'b> {
        let mut fields = Fields { at, given, known: vec![], errors: vec![] };
        let twice = fields.given.iter().enumerate();
        let twice = twice.filter(|(n, (name, _))| fields.given[..*n].iter().any(|(other, _)| other == name));
        let twice: Vec<String> = twice.map(|(_, (name, _))| name.clone()).collect();
        for name in twice {
            fields.wrong(&name, "given twice");
        }
        fields
    }

    fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Notes a field that is wrong.
    pub(crate) fn wrong(&mut self, name: &str, why: impl Into<String>) {
        let field = self.path(name);
        self.errors.push(FieldError { field, why: why.into() });
    }

    /// The text of a field as it was sent.
    pub(crate) fn raw(&mut self, name: &'static str) -> Given<&'b RawValue> {
        self.known.push(name);
        match self.given.iter().find(|(given, _)| given == name).map(|(_, raw)| *raw) {
            None => Given::Nothing,
            Some(raw) if raw.get() == "null" => Given::Null,
            Some(raw) => Given::Value(raw),
        }
    }

    fn read<T: DeserializeOwned>(&mut self, name: &'static str, wanted: &str) -> Given<T> {
        match self.raw(name) {
            Given::Nothing => Given::Nothing,
            Given::Null => Given::Null,
            Given::Value(raw) => match serde_json::from_str(raw.get()) {
                Ok(value) => Given::Value(value),
                Err(_) => {
                    self.wrong(name, format!("{wanted} is needed"));
                    Given::Nothing
                }
            },
        }
    }

    /// A text; `null` counts as not given.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.given_text(name).value()
    }

    /// A text that may be `null`.
    pub(crate) fn given_text(&mut self, name: &'static str) -> Given<String> {
        let text = self.read::<String>(name, "a text");
        match text {
            Given::Value(text) if text.contains(NUL) => self.nul(name),
            text => text,
        }
    }

    fn nul<T>(&mut self, name: &str) -> Given<T> {
        self.wrong(name, NO_NUL);
        Given::Nothing
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &'static str) -> Option<i64> {
        self.given_integer(name).value()
    }

    /// A whole number that may be `null`.
    pub(crate) fn given_integer(&mut self, name: &'static str) -> Given<i64> {
        self.read(name, "a whole number")
    }

    /// A time as RFC 3339, epoch microseconds.
    pub(crate) fn time(&mut self, name: &'static str) -> Option<i64> {
        match self.text(name)?.parse::<jiff::Timestamp>() {
            Ok(at) => Some(at.as_microsecond()),
            Err(_) => {
                self.wrong(name, A_TIME);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, "`true` or `false`").value()
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &'static str) -> Given<Vec<String>> {
        let texts = self.read::<Vec<String>>(name, "a list of texts");
        match texts {
            Given::Value(texts) if texts.iter().any(|text| text.contains(NUL)) => self.nul(name),
            texts => texts,
        }
    }

    /// Any JSON.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.read(name, "JSON").value()
    }

    /// A value with rules of its own.
    pub(crate) fn typed<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let raw = self.raw(name).value()?;
        match serde_json::from_str(raw.get()) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = error.to_string();
                self.wrong(name, text.split(" at line ").next().unwrap_or_default());
                None
            }
        }
    }

    /// The code of a currency.
    pub(crate) fn currency(&mut self, name: &'static str) -> Option<Currency> {
        let code = self.text(name)?;
        Currency::from_code(&code).map_err(|error| self.wrong(name, error.to_string())).ok()
    }

    /// The code of a currency, which must be there. None: what is wrong is told.
    pub(crate) fn needed_currency(&mut self, name: &'static str) -> Option<Currency> {
        let given = self.currency(name);
        if given.is_none() {
            self.need::<String>(name, None);
        }
        given
    }

    /// `currency`: one that the shop sells in; its own without.
    pub(crate) fn sold_in(&mut self, settings: &Settings) -> Currency {
        let Some(given) = self.currency("currency") else { return settings.currency };
        if !settings.sold_in().any(|one| one == given) {
            self.wrong("currency", format!("this shop sells in {}", settings.sold_in_words()));
        }
        given
    }

    /// An amount in major units, exact: `471.17`.
    pub(crate) fn amount(&mut self, name: &'static str, currency: Currency) -> Option<Money> {
        let raw = self.raw(name).value()?;
        match Money::parse_decimal(raw.get(), currency) {
            Ok(money) => Some(money),
            Err(error) => {
                self.wrong(
                    name,
                    format!(
                        "{error}; write a JSON number like 471.17 with at most {} digits after the point",
                        currency.exponent()
                    ),
                );
                None
            }
        }
    }

    /// An object, read by `read`.
    pub(crate) fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Fields<'b>) -> T,
    ) -> Given<T> {
        let raw = match self.raw(name) {
            Given::Nothing => return Given::Nothing,
            Given::Null => return Given::Null,
            Given::Value(raw) => raw,
        };
        let path = self.path(name);
        self.inner(path, raw, read).map_or(Given::Nothing, Given::Value)
    }

    /// A list of objects, each read by `read`.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Fields<'b>) -> T,
    ) -> Vec<T> {
        let Given::Value(raw) = self.raw(name) else { return vec![] };
        let Ok(items) = serde_json::from_str::<Vec<&'b RawValue>>(raw.get()) else {
            self.wrong(name, "a list is needed");
            return vec![];
        };
        let path = self.path(name);
        let items = items.into_iter().enumerate();
        items.filter_map(|(n, raw)| self.inner(format!("{path}[{n}]"), raw, &mut read)).collect()
    }

    fn inner<T>(
        &mut self,
        path: String,
        raw: &'b RawValue,
        read: impl FnOnce(&mut Fields<'b>) -> T,
    ) -> Option<T> {
        let Ok(Members(given)) = serde_json::from_str::<Members<'b>>(raw.get()) else {
            self.errors.push(FieldError { field: path, why: "an object is needed: `{…}`".to_owned() });
            return None;
        };
        let mut fields = Fields::over(path, given);
        let value = read(&mut fields);
        fields.close();
        self.errors.append(&mut fields.errors);
        Some(value)
    }

    /// The value of a field that must be there; an empty one, and a note, where it is not.
    pub(crate) fn need<T: Default>(&mut self, name: &'static str, value: Option<T>) -> T {
        let path = self.path(name);
        if value.is_none() && !self.errors.iter().any(|e| e.field == path) {
            self.wrong(name, "missing");
        }
        value.unwrap_or_default()
    }

    /// Whether the field is there and is not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, raw)| given == name && raw.get() != "null")
    }

    /// Names of the fields asked for so far.
    #[cfg(test)]
    pub(crate) fn known(&self) -> &[&'static str] {
        &self.known
    }

    fn close(&mut self) {
        let unknown: Vec<String> = self
            .given
            .iter()
            .map(|(name, _)| name)
            .filter(|n| !self.known.contains(&n.as_str()))
            .cloned()
            .collect();
        let known = self.known.join("`, `");
        for name in unknown {
            let short: String = name.chars().take(64).collect();
            self.wrong(
                &short,
                match known.is_empty() {
                    true => "no such field; there are none".to_owned(),
                    false => format!("no such field; there are `{known}`"),
                },
            );
        }
    }

    /// All fields as texts under whatever names, within these limits.
    pub(crate) fn all_texts(mut self, limits: &Texts) -> Result<Vec<(String, String)>, Problem> {
        let Texts { most, name_max, text_max, bytes_max } = *limits;
        let mut all = Vec::new();
        if self.given.iter().map(|(name, raw)| name.len() + raw.get().len()).sum::<usize>() > bytes_max {
            self.wrong("$", format!("at most {bytes_max} bytes in all"));
        }
        if self.given.len() > most {
            self.wrong("$", format!("at most {most} fields"));
        }
        for (name, raw) in std::mem::take(&mut self.given) {
            if name.is_empty() || name.chars().count() > name_max || name.contains(NUL) {
                let shown: String = name.chars().filter(|c| *c != NUL).take(name_max).collect();
                self.wrong(&shown, format!("a name of 1 to {name_max} characters without NUL is needed"));
                continue;
            }
            match serde_json::from_str::<String>(raw.get()) {
                Ok(text) if text.contains(NUL) => self.wrong(&name, NO_NUL),
                Ok(text) if text.chars().count() > text_max => {
                    self.wrong(&name, format!("at most {text_max} characters"));
                }
                Ok(text) => all.push((name, text)),
                Err(_) => self.wrong(&name, "a text is needed"),
            }
        }
        self.finish().map(|()| all)
    }

    /// All that is wrong, if anything is.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        self.close();
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.truncate(ERRORS_MAX);
        Err(Problem::fields(self.errors))
    }
}

impl<T> Given<T> {
    /// With the value changed.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        match self {
            Given::Nothing => Given::Nothing,
            Given::Null => Given::Null,
            Given::Value(value) => Given::Value(change(value)),
        }
    }

    /// The value; `null` counts as not given.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Given::Value(value) => Some(value),
            Given::Nothing | Given::Null => None,
        }
    }
}

/// One path parameter, or several as a tuple.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<At<T>, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::new(Code::BadRequest, format!("the path: {NO_NUL}")));
        }
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(value)| At(value))
            .map_err(|e| Problem::new(Code::BadRequest, format!("the path: {e}")))
    }
}

/// The query parameters. Unknown ones are an error, so that a misspelt filter never shows everything.
pub(crate) struct Query(Vec<(String, String)>, Vec<&'static str>);

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Query, Problem> {
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let given = query.map_err(|e| Problem::new(Code::BadRequest, format!("the query: {e}")))?.0;
        match given.iter().find(|(name, value)| name.contains(NUL) || value.contains(NUL)) {
            Some((name, _)) => Err(Problem::field(&name.replace(NUL, "?"), NO_NUL)),
            None => Ok(Query(given, vec![])),
        }
    }
}

impl Query {
    /// A parameter.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<&str> {
        self.1.push(name);
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A time as RFC 3339, epoch microseconds.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<i64>, Problem> {
        match self.text(name).map(str::parse::<jiff::Timestamp>) {
            None => Ok(None),
            Some(Ok(at)) => Ok(Some(at.as_microsecond())),
            Some(Err(_)) => Err(Problem::field(name, A_TIME)),
        }
    }

    /// The code of a currency.
    pub(crate) fn currency(&mut self, name: &'static str) -> Result<Option<Currency>, Problem> {
        let code = self.text(name).map(Currency::from_code).transpose();
        code.map_err(|error| Problem::field(name, error.to_string()))
    }

    /// A day: `2024-08-10`.
    pub(crate) fn day(&mut self, name: &'static str) -> Result<Option<jiff::civil::Date>, Problem> {
        let day = self.text(name).map(str::parse).transpose();
        day.map_err(|_| Problem::field(name, A_DAY))
    }

    /// A number of rows between 1 and `max`.
    pub(crate) fn limit(&mut self, default: i64, max: i64) -> Result<i64, Problem> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let limit = text.parse().ok().filter(|n| (1..=max).contains(n));
        limit.ok_or_else(|| Problem::field("limit", format!("a whole number from 1 to {max} is needed")))
    }

    /// The place in a list, newest first, that `cursor` names: a time or position, and an id. Without: before the first.
    pub(crate) fn before(&mut self) -> Result<(i64, String), Problem> {
        match self.text("cursor") {
            None => Ok((i64::MAX, String::new())),
            Some(cursor) => cursor
                .split_once('.')
                .and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())))
                .ok_or_else(|| Problem::field("cursor", "`nextCursor` of a page is needed")),
        }
    }

    /// No other parameters were given.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| !self.1.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(Problem::field(name, format!("no such parameter; there are `{}`", self.1.join("`, `"))))
            }
            None => Ok(()),
        }
    }
}

/// `Prefer: wait=N`: how long the answer may take.
pub(crate) fn prefer_wait(headers: &HeaderMap, default_s: u64) -> Duration {
    let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    let mut waits = values.flat_map(|v| v.split([',', ';'])).filter_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("wait")
            .then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    });
    Duration::from_secs(waits.next_back().unwrap_or(default_s).min(WAIT_MAX_S))
}

/// The version in `If-Match`. None: any. A tag that is not ours can match nothing.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let version = tag.parse().map_err(|_| {
        Problem::new(Code::VersionMismatch, "`If-Match` must be the `ETag` of an answer, for example \"3\"")
    })?;
    Ok(Some(version))
}

/// `Idempotency-Key`, 1 to 255 visible characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(text.to_owned()));
    }
    Err(Problem::new(Code::BadRequest, "`Idempotency-Key` must be 1 to 255 visible ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::from_code("USD").unwrap()
    }

    #[test]
    fn all_wrong_fields_are_told_at_once() {
        let body = br#"{"quantity": 2.5, "sku": 7, "colour": "red", "address": {"city": 1, "planet": "x"}, "sku": "a"}"#;
        let mut fields = Fields::of(body).unwrap_or_else(|p| panic!("{}", p.detail));
        assert_eq!(fields.integer("quantity"), None);
        assert_eq!(fields.text("sku"), None);
        let product = fields.text("productId");
        assert_eq!(fields.need("productId", product), "");
        fields.object("address", |a| a.text("city"));
        let errors = fields.finish().unwrap_err().errors;
        let told: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.why)).collect();
        assert_eq!(
            told,
            [
                "sku: given twice",
                "quantity: a whole number is needed",
                "sku: a text is needed",
                "productId: missing",
                "address.city: a text is needed",
                "address.planet: no such field; there are `city`",
                "colour: no such field; there are `quantity`, `sku`, `productId`, `address`",
            ]
        );
    }

    #[test]
    fn an_amount_is_read_digit_by_digit() {
        for (text, minor) in [
            ("471.17", 47117),
            ("471.1", 47110),
            ("471", 47100),
            ("0.07", 7),
            ("90071992547409.93", 9_007_199_254_740_993),
        ] {
            let body = format!("{{\"expectedTotal\": {text}}}");
            let mut fields = Fields::of(body.as_bytes()).unwrap_or_else(|p| panic!("{}", p.detail));
            assert_eq!(fields.amount("expectedTotal", usd()).map(|m| m.minor()), Some(minor), "{text}");
            assert!(fields.finish().is_ok());
        }
        for text in ["471.171", "\"471.17\"", "4.7e2", "true", "[1]", "99999999999999999999"] {
            let body = format!("{{\"expectedTotal\": {text}}}");
            let mut fields = Fields::of(body.as_bytes()).unwrap_or_else(|p| panic!("{}", p.detail));
            assert!(fields.amount("expectedTotal", usd()).is_none(), "{text}");
            assert_eq!(fields.finish().unwrap_err().errors[0].field, "expectedTotal");
        }
    }

    #[test]
    fn malformed_json_names_line_and_column() {
        let problem = Fields::of(b"{\n  \"a\": 1,\n  oops }").err().unwrap();
        assert_eq!(problem.code, Code::MalformedJson);
        assert!(problem.detail.contains("line 3"), "{}", problem.detail);
        assert_eq!(Fields::of(b"[1]").err().unwrap().code, Code::InvalidFields);
        assert_eq!(Fields::of(b"").err().unwrap().code, Code::MalformedJson);
        assert_eq!(Fields::of(b"{} {}").err().unwrap().code, Code::MalformedJson);
    }

    #[test]
    fn a_text_with_nul_is_no_text() {
        let mut fields = Fields::of(br#"{"id": "a\u0000b", "codes": ["x", "\u0000"], "note": "a"}"#)
            .unwrap_or_else(|p| panic!("{}", p.detail));
        assert_eq!(fields.text("id"), None);
        assert!(fields.texts("codes").value().is_none());
        assert_eq!(fields.text("note").as_deref(), Some("a"));
        let errors = fields.finish().unwrap_err().errors;
        assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["id", "codes"]);
    }

    #[test]
    fn null_is_told_from_nothing() {
        let mut fields = Fields::of(br#"{"a": null}"#).unwrap_or_else(|p| panic!("{}", p.detail));
        assert!(matches!(fields.given_text("a"), Given::Null));
        assert!(matches!(fields.given_text("b"), Given::Nothing));
    }

    #[test]
    fn headers_are_read_with_their_limits() {
        let mut headers = HeaderMap::new();
        assert_eq!(prefer_wait(&headers, 10).as_secs(), 10);
        headers.insert("prefer", "respond-async, wait=3".parse().unwrap());
        assert_eq!(prefer_wait(&headers, 10).as_secs(), 3);
        headers.insert("prefer", "wait=3600".parse().unwrap());
        assert_eq!(prefer_wait(&headers, 10).as_secs(), WAIT_MAX_S);
        headers.insert("prefer", "wait=soon".parse().unwrap());
        assert_eq!(prefer_wait(&headers, 10).as_secs(), 10);
        assert!(if_match(&headers).unwrap().is_none());
        headers.insert("if-match", "\"7\"".parse().unwrap());
        assert_eq!(if_match(&headers).unwrap(), Some(7));
        headers.insert("if-match", "W/\"7\"".parse().unwrap());
        assert_eq!(if_match(&headers).unwrap(), Some(7));
        headers.insert("if-match", "\"abc\"".parse().unwrap());
        assert_eq!(if_match(&headers).unwrap_err().code, Code::VersionMismatch);
        headers.insert("idempotency-key", "k-1".parse().unwrap());
        assert_eq!(idempotency_key(&headers).unwrap().as_deref(), Some("k-1"));
        headers.insert("idempotency-key", "a b".parse().unwrap());
        assert!(idempotency_key(&headers).is_err());
    }
}
