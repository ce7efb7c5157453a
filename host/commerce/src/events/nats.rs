//! Events into NATS JetStream, where the operator has it and the merchant wants it.
//!
//! `Nats-Msg-Id` is the event's id: the server keeps one of several that come within the stream's window.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{Context, stream};
use till_store::Error as StoreError;
use till_store::tables::event::EventRow;
use tokio::sync::OnceCell;

use super::deliver::{ANSWER_TIME, Came, cut};
use super::{Events, plain, sent};

/// Target of deliveries into the stream.
pub const NATS: &str = "nats";
/// Within this the server knows an id again: a host that is killed comes again after 20 s, an answer that is lost is
/// asked for after 5 s, 5 min and 30 min.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long the stream keeps events, where it is made here: an operator's own may do otherwise.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// One request; a delivery may need two.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// A connection, made again as often as it is lost.
pub(super) struct Nats {
    context: Context,
    stream: String,
    /// The stream is there.
    there: OnceCell<()>,
}

impl Nats {
    async fn connect(url: &str, stream: &str) -> Result<Nats, String> {
        let options = ConnectOptions::new().name("till").retry_on_initial_connect();
        let client = options.connect(url).await.map_err(|error| error.to_string())?;
        let context = ContextBuilder::new().timeout(REQUEST_TIME).ack_timeout(REQUEST_TIME).build(client);
        Ok(Nats { context, stream: stream.to_owned(), there: OnceCell::new() })
    }

    async fn publish(&self, subject: String, id: &str, body: String) -> Result<String, String> {
        let config = Config {
            name: self.stream.clone(),
            subjects: vec!["till.>".to_owned()],
            duplicate_window: WINDOW,
            max_age: KEPT,
            storage: stream::StorageType::File,
            ..Config::default()
        };
        let made = self.there.get_or_try_init(async || {
            self.context.get_or_create_stream(config).await.map(drop).map_err(|error| error.to_string())
        });
        made.await?;
        let message = PublishMessage::build()
            .message_id(id)
            .header("content-type", "application/cloudevents+json")
            .payload(body.into());
        let sent = self.context.send_publish(subject, message).await.map_err(|error| error.to_string())?;
        let taken = sent.await.map_err(|error| error.to_string())?;
        let again = if taken.duplicate { ", known already" } else { "" };
        Ok(format!("{} {}{again}", taken.stream, taken.sequence))
    }
}

impl Events {
    /// With a NATS server: `nats://user:password@host:4222`, and the stream that takes the subjects `till.>`. The server
    /// need not be there now.
    ///
    /// # Errors
    /// The address cannot be used, for people.
    pub async fn with_nats(self, url: &str, stream: &str) -> Result<Events, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if stream.is_empty() || stream.len() > 64 || !stream.bytes().all(fits) {
            return Err("`nats_stream` has 1 to 64 letters, digits, `-` and `_`".to_owned());
        }
        Ok(Events { nats: Some(Nats::connect(url, stream).await?), ..self })
    }

    /// Tries to publish an event once.
    pub(super) async fn publish(&self, merchant: &str, event: &EventRow) -> Result<Came, StoreError> {
        let Some(nats) = &self.nats else {
            return Ok(Came::Later(
                "this host has no NATS server: see `nats_url` in till.toml".to_owned(),
                None,
            ));
        };
        let subject = format!("till.{}.{}", plain(merchant), event.topic);
        let body = sent(merchant, event)?;
        let done = tokio::time::timeout(ANSWER_TIME, nats.publish(subject, &event.id, body)).await;
        Ok(match done {
            Ok(Ok(told)) => Came::Taken(cut(&told)),
            Ok(Err(why)) => Came::Later(cut(&why), None),
            Err(_) => Came::Later(format!("no answer within {} s", ANSWER_TIME.as_secs()), None),
        })
    }
}
