//! Mail: one letter for each event, through the operator's SMTP server, from the merchant's address.
//!
//! `Message-ID` is `<event-id.merchant@domain>`, the same for all tries: by it servers and programs know a letter that
//! comes twice because a host died after the server had taken it.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error as SmtpError, SUBMISSION_PORT, SUBMISSIONS_PORT};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use till_store::Error as StoreError;
use till_store::tables::event::EventRow;

use super::template::{Rendered, one_line};
use super::{Due, switched_off};
use crate::events::deliver::{ANSWER_TIME, Came, cut};
use crate::events::{Events, plain};
use crate::settings::MailSettings;

/// Longest name before an address.
const NAME_CHARS_MAX: usize = 128;

/// The operator's SMTP server.
#[derive(Clone)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// None: 465 with TLS from the start, else 587.
    pub port: Option<u16>,
    /// How the connection is kept private.
    pub tls: SmtpTls,
    /// Who logs in; none: nobody.
    pub user: Option<String>,
    /// With it.
    pub password: Option<String>,
    /// How long a letter may take, at most 15 s.
    pub timeout: Duration,
    /// What this host calls itself, and the right side of all `Message-ID`s. The same on all hosts of a database, and
    /// for ever: it is a part of the key by which a letter is known.
    pub domain: String,
}

/// How the connection to an SMTP server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmtpTls {
    /// TLS from the first byte.
    #[default]
    Implicit,
    /// `STARTTLS`, or nothing is sent.
    StartTls,
    /// Not at all: for a server on this machine.
    None,
}

/// Sends letters.
pub(in crate::events) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
    domain: String,
}

impl Mailer {
    /// Connects when there is a letter: each has a connection of its own.
    pub(in crate::events) fn new(smtp: Smtp) -> Result<Mailer, String> {
        let Smtp { host, port, tls, user, password, timeout, domain } = smtp;
        let inside = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        if user.is_some() && tls == SmtpTls::None && !inside {
            return Err(
                "a password is not sent without TLS; set `tls` to `implicit` or `starttls`".to_owned()
            );
        }
        if timeout.is_zero() || timeout > ANSWER_TIME {
            return Err(format!("`timeout_s` is 1 to {}", ANSWER_TIME.as_secs()));
        }
        if format!("till@{domain}").parse::<Address>().is_err() {
            return Err(format!(
                "`domain` is the name of a mail domain such as `shop.example`, not `{domain}`"
            ));
        }
        let parameters = || TlsParameters::new_rustls(host.clone()).map_err(|error| error.to_string());
        let (tls, usual) = match tls {
            SmtpTls::Implicit => (Tls::Wrapper(parameters()?), SUBMISSIONS_PORT),
            SmtpTls::StartTls => (Tls::Required(parameters()?), SUBMISSION_PORT),
            SmtpTls::None => (Tls::None, SUBMISSION_PORT),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(port.unwrap_or(usual))
            .tls(tls)
            .hello_name(ClientId::Domain(domain.clone()))
            .timeout(Some(timeout));
        if let Some(user) = user {
            builder = builder.credentials(Credentials::new(user, password.unwrap_or_default()));
        }
        Ok(Mailer { transport: builder.build(), timeout, domain })
    }

    async fn send(&self, letter: Message) -> Came {
        match tokio::time::timeout(self.timeout, self.transport.send(letter)).await {
            Ok(Ok(answer)) => {
                let words: Vec<&str> = answer.message().collect();
                Came::Taken(cut(&format!("{} {}", answer.code(), words.join(" "))))
            }
            Ok(Err(error)) if refused_for_good(&error) => Came::Never(cut(&chain(&error))),
            Ok(Err(error)) => Came::Later(cut(&chain(&error)), None),
            Err(_) => Came::Later(format!("no answer within {} s", self.timeout.as_secs()), None),
        }
    }
}

/// 5xx, but for those about the log-in (RFC 4954): the operator can mend that.
fn refused_for_good(error: &SmtpError) -> bool {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    error.is_permanent() && !code.starts_with("53")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl Events {
    /// Tries a letter once.
    pub(in crate::events) async fn mail(&self, merchant: &str, event: &EventRow) -> Result<Came, StoreError> {
        let due =
            match Due::of(self, merchant, event, |sent, channels| sent.mails() && channels.email).await? {
                Ok(due) => due,
                Err(came) => return Ok(came),
            };
        let sent = &due.settings.notifications;
        let Some(mail) = &sent.email else { return Ok(switched_off()) };
        let Some(mailer) = &self.mailer else {
            return Ok(Came::Later("this host has no SMTP server: see `smtp` in till.toml".to_owned(), None));
        };
        let filled = match due.source.fill_mail(&due.context) {
            Ok(filled) => filled,
            // The merchant may mend the template meanwhile.
            Err(error) => return Ok(Came::Later(cut(&error.to_string()), None)),
        };
        let receiver = due.about.order.receipt.shipping_address.as_ref();
        let letter = Letter {
            id: format!("{}.{}", event.id, plain(merchant)),
            event: &event.id,
            at_us: event.at_us,
            from: (&sent.name, mail),
            to: (receiver.map(|to| to.name.as_str()).unwrap_or_default(), &due.about.customer.email),
            filled,
        };
        Ok(match letter.message(&mailer.domain) {
            Ok(message) => mailer.send(message).await,
            Err(why) => Came::Never(cut(&why)),
        })
    }
}

struct Letter<'a> {
    /// Left side of the `Message-ID`.
    id: String,
    event: &'a str,
    at_us: i64,
    from: (&'a str, &'a MailSettings),
    to: (&'a str, &'a str),
    filled: Rendered,
}

impl Letter<'_> {
    fn message(self, domain: &str) -> Result<Message, String> {
        let (name, mail) = self.from;
        // The event's time, so that all tries carry the same.
        let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(self.at_us).unwrap_or(0));
        let mut builder = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", self.id)))
            .date(at)
            .from(mailbox(name, &mail.from)?)
            .to(mailbox(self.to.0, self.to.1)?)
            .subject(self.filled.subject)
            // RFC 3834: no out-of-office answers to a machine.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            // Mail programs that thread by subject keep letters of different events apart.
            .raw_header(header("X-Entity-Ref-ID", self.event));
        if let Some(reply_to) = &mail.reply_to {
            builder = builder.reply_to(mailbox("", reply_to)?);
        }
        let parts = MultiPart::alternative_plain_html(self.filled.text, self.filled.html);
        builder.multipart(parts).map_err(|error| error.to_string())
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// An address with a name before it, where there is one. Whatever would end the line is gone from the name, and an
/// address that has it is none.
fn mailbox(name: &str, address: &str) -> Result<Mailbox, String> {
    let parsed: Address = address.parse().map_err(|error| format!("`{}`: {error}", one_line(address)))?;
    let name: String = one_line(name).chars().take(NAME_CHARS_MAX).collect();
    Ok(Mailbox::new((!name.is_empty()).then_some(name), parsed))
}

/// Whether a text is a mail address.
pub(crate) fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<Address>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, to: &str, subject: &str) -> Result<String, String> {
        let mail = MailSettings { from: "shop@example.com".to_owned(), reply_to: None, enabled: true };
        let filled = Rendered {
            subject: one_line(subject),
            text: "Grüße\n.\n".to_owned(),
            html: "<p>Grüße</p>".to_owned(),
            sms: String::new(),
        };
        let letter = Letter {
            id: "evt_1.demo".to_owned(),
            event: "evt_1",
            at_us: 0,
            from: (name, &mail),
            to: (name, to),
            filled,
        };
        letter.message("till.example").map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn names_and_subjects_bring_no_header_of_their_own() {
        for evil in [
            "Jane\r\nBcc: everybody@example.com",
            "Jane\nBcc: everybody@example.com",
            "Jane\" <x@example.com>\r\n\r\n<script>",
            "Jane\u{2028}Bcc: x@example.com",
            "Jane, Bcc: x@example.com",
        ] {
            let text = written(evil, "jane@example.com", evil).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").expect("a head and a body");
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split_once(':').expect("a header").0)
                .collect();
            assert_eq!(
                names,
                [
                    "Message-ID",
                    "Date",
                    "From",
                    "To",
                    "Subject",
                    "Auto-Submitted",
                    "X-Entity-Ref-ID",
                    "MIME-Version",
                    "Content-Type"
                ],
                "{head}"
            );
            assert!(head.contains("Message-ID: <evt_1.demo@till.example>\r\n"), "{head}");
        }
        for wrong in ["jane", "jane@example.com\r\nBcc: x@example.com", "jane@exa mple.com", "", "a@b, c@d"] {
            assert!(written("Jane", wrong, "x").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_merchants_name_fits_into_a_message_id() {
        assert_eq!(plain("demo-shop_1"), "demo-shop_1");
        assert_eq!(plain("a>b"), "613e62");
    }
}
