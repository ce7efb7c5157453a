//! Templates: words with gaps, filled for one customer.
//!
//! A merchant's template is somebody else's program. It can read what it is given, branch and loop, and nothing else:
//! tokens that could make something large out of something small are refused ([`refuse`]), fuel bounds the steps,
//! and the writer bounds what comes out. There are no filters but the one that escapes, no functions, no files.

use std::io::Write;

use minijinja::machinery::{Token, tokenize};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use till_store::tables::notify::TemplateRow;

use super::words;
use super::{Kind, Spoken};
use crate::catalog::parse;

/// Longest source of a part: a page with inline styles has 30 kB.
pub(crate) const SOURCE_BYTES_MAX: usize = 64 << 10;
/// Longest subject: mail programs show 80 characters.
const SUBJECT_BYTES_MAX: usize = 1_000;
/// Longest result: mail programs cut letters off at about 100 kB; an order may have 500 lines.
const OUTPUT_BYTES_MAX: usize = 512 << 10;
/// Longest text message: a name of 100 characters, the words, and an address of 1,000 bytes fit.
const SMS_BYTES_MAX: usize = 3_000;
/// Steps of one part: 500 lines with 100 steps each, four times over. Takes some ten milliseconds.
const FUEL: u64 = 200_000;

/// What is written, before its gaps are filled. `Serialize` is the persisted form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Subject of the mail.
    pub subject: String,
    /// The mail as text.
    pub text: String,
    /// The mail as HTML; what is filled in is escaped.
    pub html: String,
    /// The text message.
    pub sms: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
    /// The text message.
    pub sms: String,
}

/// A part that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use the template's `{part}`, line {line}: {why}")]
pub(crate) struct TemplateError {
    /// `subject`, `text`, `html` or `sms`.
    pub(crate) part: &'static str,
    /// Counted from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) why: String,
}

impl Source {
    /// All parts filled.
    pub(super) fn fill(&self, context: &Value) -> Result<Rendered, TemplateError> {
        let mail = self.fill_mail(context)?;
        Ok(Rendered { sms: self.fill_sms(context)?, ..mail })
    }

    /// The parts of a mail.
    pub(super) fn fill_mail(&self, context: &Value) -> Result<Rendered, TemplateError> {
        let subject = fill("subject", &self.subject, context, SUBJECT_BYTES_MAX)?;
        Ok(Rendered {
            subject: one_line(&subject),
            text: fill("text", &self.text, context, OUTPUT_BYTES_MAX)?,
            html: fill("html", &self.html, context, OUTPUT_BYTES_MAX)?,
            sms: String::new(),
        })
    }

    /// The text message.
    pub(super) fn fill_sms(&self, context: &Value) -> Result<String, TemplateError> {
        Ok(fill("sms", &self.sms, context, SMS_BYTES_MAX)?.trim().to_owned())
    }
}

/// One line: whatever would begin another one is a blank.
pub(super) fn one_line(text: &str) -> String {
    let plain = text.replace(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}', " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words for a kind in the best language: the merchant's own, else those built in.
pub(super) fn best(own: &[TemplateRow], kind: &Kind, spoken: &Spoken) -> Result<Source, till_store::Error> {
    for tag in &spoken.0 {
        if let Some(row) = own.iter().find(|row| row.locale.eq_ignore_ascii_case(tag)) {
            return parse(&row.body);
        }
        if let Some(words) = words::of(tag) {
            return Ok(words.source(kind));
        }
    }
    Ok(words::english().source(kind))
}

/// Title and message in the app, in the words built in.
pub(super) fn in_app(
    kind: &Kind,
    spoken: &Spoken,
    context: &Value,
) -> Result<(String, String), TemplateError> {
    let words = words::of(spoken.language()).unwrap_or_else(words::english);
    let (title, message) = words.of_kind(kind);
    Ok((fill("title", title, context, SMS_BYTES_MAX)?, fill("message", message, context, SMS_BYTES_MAX)?))
}

fn fill(
    part: &'static str,
    source: &str,
    context: &Value,
    bytes_max: usize,
) -> Result<String, TemplateError> {
    if source.len() > SOURCE_BYTES_MAX {
        let why = format!("{} bytes; at most {SOURCE_BYTES_MAX}", source.len());
        return Err(TemplateError { part, line: 1, why });
    }
    refuse(part, source)?;
    let told = |error: minijinja::Error| {
        let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        TemplateError { part, line: error.line().unwrap_or(1), why }
    };
    let mut env = Environment::empty();
    env.set_fuel(Some(FUEL));
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    let template = env.template_from_named_str(part, source).map_err(told)?;
    let mut out = Bounded { bytes: Vec::new(), bytes_max };
    let drawn = template.render_captured_to(Serde(context), &mut out);
    if let Err(error) = drawn.map(drop) {
        return Err(match out.bytes.len() >= bytes_max {
            true => {
                let why = format!("what comes out is longer than {bytes_max} bytes");
                TemplateError { part, line: error.line().unwrap_or(1), why }
            }
            false => told(error),
        });
    }
    String::from_utf8(out.bytes).map_err(|error| TemplateError { part, line: 1, why: error.to_string() })
}

/// Statements that only read.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// Refuses what could make something large out of something small in one step, which fuel does not see: names for
/// results, parts of the output kept as a value, texts put together or repeated.
fn refuse(part: &'static str, source: &str) -> Result<(), TemplateError> {
    let mut opened = false;
    for token in tokenize(source, false, Default::default()) {
        let (token, span) = token.map_err(|error| TemplateError {
            part,
            line: error.line().unwrap_or(1),
            why: error.detail().unwrap_or("it cannot be read").to_owned(),
        })?;
        let why = match &token {
            Token::Ident(word) if opened && !STATEMENTS.contains(word) => {
                format!("there is no `{{% {word} %}}`; there are `{}`", STATEMENTS.join("`, `"))
            }
            Token::Ident("recursive") => "loops are not recursive".to_owned(),
            Token::Plus | Token::Mul | Token::Pow | Token::Tilde => {
                format!("{token} is not allowed; put one expression after the other")
            }
            _ => String::new(),
        };
        if !why.is_empty() {
            return Err(TemplateError { part, line: span.start_line.into(), why });
        }
        opened = matches!(token, Token::BlockStart);
    }
    Ok(())
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        if part.len() > room {
            self.bytes.extend_from_slice(&part[..room]);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::notify::{KINDS, sample};
    use crate::settings::Settings;

    fn filled(source: &str) -> Result<String, TemplateError> {
        fill("text", source, &json!({ "a": "x", "all": [1, 2, 3], "bad": "<b>\r\nBcc: x" }), 1_000)
    }

    #[test]
    fn every_kind_can_be_told_in_every_language_that_is_built_in() {
        for language in words::LANGUAGES {
            let spoken = Spoken::these([language]);
            let context = sample(&Settings::default(), &spoken);
            for kind in &KINDS {
                let words = best(&[], kind, &spoken).unwrap().fill(&context).unwrap();
                let (title, message) = in_app(kind, &spoken, &context).unwrap();
                assert!(words.subject.contains("ORD-2024-001234"), "{language} {}: {words:?}", kind.name);
                assert!(words.html.contains("<html") && words.html.contains("ORD-2024-001234"));
                assert!(words.text.contains(&message) && !title.is_empty(), "{language} {}", kind.name);
                assert!(words.sms.contains("ORD-2024-001234") && words.sms.len() < 320, "{}", words.sms);
                for part in [&words.subject, &words.text, &words.html, &words.sms] {
                    assert!(!part.contains("{{") && !part.contains('@') || part.contains("@media"), "{part}");
                }
            }
        }
    }

    #[test]
    fn what_could_grow_without_end_is_refused_with_its_line() {
        for (source, named) in [
            ("a\n{% set a = a %}", "set"),
            ("a\n{%- with b = a %}{% endwith %}", "with"),
            ("a\n{{ a ~ a }}", "`~`"),
            ("a\n{{ 'x' * 1000000000 }}", "`*`"),
            ("a\n{{ a + a }}", "`+`"),
            ("a\n{% for x in all recursive %}{{ loop(all) }}{% endfor %}", "recursive"),
            ("a\n{% filter upper %}a{% endfilter %}", "filter"),
            ("a\n{% include '/etc/passwd' %}", "include"),
            ("a\n{% autoescape false %}{% endautoescape %}", "autoescape"),
            ("a\n{{ a|replace('x', 'xx') }}", "replace"),
            ("a\n{% if a %}", "end of input"),
            ("a\n{{ a", "end of input"),
        ] {
            let error = filled(source).unwrap_err();
            assert_eq!(error.line, 2, "{source}: {error}");
            assert!(error.to_string().contains(named), "{source}: {error}");
        }
    }

    #[test]
    fn steps_and_output_have_an_end() {
        let deep = "{% for a in all %}".repeat(14);
        let steps = format!("{deep}{}", "{% endfor %}".repeat(14));
        assert!(filled(&steps).unwrap_err().why.contains("fuel"), "{:?}", filled(&steps));
        let long = format!("{deep}0123456789{}", "{% endfor %}".repeat(14));
        assert!(filled(&long).unwrap_err().why.contains("1000 bytes"), "{:?}", filled(&long));
        assert_eq!(filled("{{ nothing.at.all }}{% if not nothing %}-{% endif %}").unwrap(), "-");
    }

    #[test]
    fn only_html_is_escaped_and_a_subject_is_one_line() {
        let context = json!({ "bad": "<b>\r\nBcc: x" });
        let one = Source {
            subject: "{{ bad }}".to_owned(),
            text: "{{ bad }}".to_owned(),
            html: "{{ bad }}".to_owned(),
            sms: "{{ bad }}".to_owned(),
        };
        let one = one.fill(&context).unwrap();
        assert_eq!(
            (one.subject.as_str(), one.text.as_str(), one.html.as_str()),
            ("<b> Bcc: x", "<b>\r\nBcc: x", "&lt;b&gt;\r\nBcc: x")
        );
    }
}
