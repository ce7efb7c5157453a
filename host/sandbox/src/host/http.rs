//! HTTP of the gateways, sent by the host.
//!
//! Owns: which origins and addresses can be reached, the putting in of secrets, size and time limits,
//! and the record of every exchange. Nothing is retried or redirected here: one request of the guest is
//! at most one request on the wire, and the guest sees an answer only when all of it is there.

use super::script::{Asked, Reply, Script, Scripted};
use crate::binding::{Binding, Origin};
use crate::breaker::{Verdict, Watch, Watched};
use crate::report::{Exchange, prefix};
use crate::{Error, Secret};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

/// A body in one direction. Payment providers send a few kB.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Of each body this much is recorded.
const RECORDED_BYTES_MAX: usize = 16 << 10;
/// Requests in one call. A gateway needs one to three.
const EXCHANGES_MAX: usize = 32;
/// A provider that does not take the connection in this time will not answer in time either.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Less than the 60 s after which common servers drop an idle connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// The host's own clients: one that reaches public addresses only, one for bindings that may do more.
pub(crate) struct Clients {
    pub(crate) public: reqwest::Client,
    pub(crate) any: reqwest::Client,
}

impl Clients {
    pub(crate) fn new() -> Result<Clients, Error> {
        Clients::looking_up(system)
    }

    fn looking_up(lookup: Lookup) -> Result<Clients, Error> {
        // Err: somebody installed a provider before us, and theirs will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |private| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .http1_only()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .dns_resolver(Resolver { private, lookup })
                .build()
                .map_err(Error::Http)
        };
        Ok(Clients { public: client(false)?, any: client(true)? })
    }
}

/// Looks names up and leaves out the addresses a guest must not reach. The connection is made to what
/// is returned here, so a name cannot change its address between the check and the use.
struct Resolver {
    private: bool,
    lookup: Lookup,
}

/// Where the addresses of a name come from.
type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// As this machine looks names up.
fn system(name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` leads to a private address, which the binding does not allow")]
struct PrivateAddress(String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Resolver { private, lookup } = *self;
        Box::pin(async move {
            let found = lookup(name.as_str().to_owned()).await?;
            let known = !found.is_empty();
            let allowed: Vec<_> = found.into_iter().filter(|a| private || is_public(a.ip())).collect();
            if allowed.is_empty() && known {
                return Err(PrivateAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether the address names a private one in figures. Names are judged when they are looked up.
pub(crate) fn private_literal(url: &Url) -> bool {
    let literal = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    literal.and_then(|host| host.parse::<IpAddr>().ok()).is_some_and(|ip| !is_public(ip))
}

/// An address of the public Internet: not of this machine, its network, or a reserved range.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0 // this network
        || a >= 224 // multicast, reserved, broadcast
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (18..20).contains(&b))) // benchmarks
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // Global unicast is 2000::/3; within it, what wraps an IPv4 address is judged by that address.
    match s {
        [0x2002, high, low, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The network of one call.
#[derive(Clone)]
pub(crate) enum Network {
    /// Every request is refused.
    None,
    /// Requests go to the binding's origins until the time is up.
    Until { clients: Arc<Clients>, deadline: Instant, watch: Option<Watch> },
    /// Requests are judged and recorded as ever, and somebody in this process answers them.
    Scripted(Arc<dyn Script>),
}

/// Stands between the guest's `wasi:http` and the wire.
pub(crate) struct Hooks {
    network: Network,
    binding: Arc<Binding>,
    record: Record,
}

impl Hooks {
    pub(crate) fn new(network: Network, binding: Arc<Binding>) -> Self {
        Hooks { network, binding, record: Record::default() }
    }

    /// The exchanges, how many more were refused, and whether a breaker refused one.
    pub(crate) fn exchanges(&self) -> (Vec<Exchange>, u64, bool) {
        let made = self.record.lock();
        (made.exchanges.clone(), made.over, made.circuit_open)
    }
}

type Connection = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

impl WasiHttpHooks for Hooks {
    fn default_scheme(&mut self) -> Option<hyper::http::uri::Scheme> {
        None // A guest that does not say http or https is wrong about one of them.
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Connection,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Connection), HttpError>> + Send> {
        let sender = Sender {
            network: self.network.clone(),
            binding: self.binding.clone(),
            record: self.record.clone(),
        };
        // Only where it goes: paths and headers may tell what is secret.
        let span = tracing::debug_span!(
            target: "till::trace",
            "request",
            otel.name = %format_args!("{} {}", request.method(), request.uri().authority().map_or("", |a| a.as_str())),
            otel.kind = "client",
            http.request.method = %request.method(),
            http.response.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
        );
        let told = span.clone();
        let sent = async move {
            let response = sender.send(request, options).await;
            match &response {
                Ok(response) => told.record("http.response.status_code", response.status().as_u16()),
                Err(error) => told.record("error.type", tracing::field::debug(error)),
            };
            Ok((response?, Box::new(async { Ok(()) }) as Connection))
        };
        Box::new(sent.instrument(span))
    }
}

/// The exchanges of one call, shared with requests that are still running when the call is cut off.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Made>>);

#[derive(Default)]
struct Made {
    exchanges: Vec<Exchange>,
    over: u64,
    circuit_open: bool,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, exchange: Exchange) -> Option<usize> {
        let mut made = self.lock();
        if made.exchanges.len() >= EXCHANGES_MAX {
            made.over += 1;
            return None;
        }
        made.exchanges.push(exchange);
        Some(made.exchanges.len() - 1)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Exchange)) {
        change(&mut self.lock().exchanges[index]);
    }
}

/// Why a request has no complete answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("refused: {0}")]
    Denied(String),
    #[error("not sent: {origin} has failed too often; it is asked again in {wait_s} s")]
    CircuitOpen { origin: Origin, wait_s: u64 },
    #[error("the binding has no secret `{0}`")]
    NoSecret(String),
    #[error("the request body has more than {BODY_BYTES_MAX} bytes")]
    RequestTooLarge,
    #[error("the guest did not finish the request body")]
    RequestIncomplete,
    #[error("no connection: {0}")]
    NoConnection(String),
    #[error("no complete answer in time")]
    TooLate,
    #[error("the answer has more than {BODY_BYTES_MAX} bytes")]
    ResponseTooLarge,
    #[error("the answer is not complete: {0}")]
    ResponseIncomplete(String),
}

impl From<Lost> for HttpError {
    fn from(lost: Lost) -> HttpError {
        match lost {
            Lost::Denied(_) => HttpError::HttpRequestDenied,
            Lost::NoSecret(_) => HttpError::InternalError(Some(lost.to_string())),
            Lost::RequestTooLarge => HttpError::HttpRequestBodySize(Some(BODY_BYTES_MAX as u64)),
            Lost::RequestIncomplete => HttpError::HttpProtocolError,
            Lost::NoConnection(_) | Lost::CircuitOpen { .. } => HttpError::ConnectionRefused,
            Lost::TooLate => HttpError::HttpResponseTimeout,
            Lost::ResponseTooLarge => HttpError::HttpResponseBodySize(Some(BODY_BYTES_MAX as u64)),
            Lost::ResponseIncomplete(_) => HttpError::HttpResponseIncomplete,
        }
    }
}

struct Sender {
    network: Network,
    binding: Arc<Binding>,
    record: Record,
}

impl Sender {
    async fn send(
        self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, HttpError> {
        let started = Instant::now();
        let begun = Exchange {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            request_headers: self.recorded(request.headers()),
            ..Exchange::default()
        };
        let Some(index) = self.record.begin(begun) else {
            return Err(HttpError::HttpRequestDenied);
        };
        let result = self.exchange(index, request, options, started).await;
        self.record.update(index, |exchange| {
            exchange.elapsed_us = started.elapsed().as_micros() as u64;
            if let Err(lost) = &result {
                exchange.error = Some(lost.to_string());
            }
        });
        Ok(result?.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync()))
    }

    async fn exchange(
        &self,
        index: usize,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        started: Instant,
    ) -> Result<Response<Bytes>, Lost> {
        let (parts, body) = request.into_parts();
        let url = self.allow(&parts.uri)?;
        let (clients, deadline, watch) = match &self.network {
            Network::Until { clients, deadline, watch } => (clients, deadline, watch),
            Network::Scripted(script) => return self.play(index, script.as_ref(), parts, body).await,
            Network::None => return Err(Lost::Denied("this call has no network".to_owned())),
        };
        let headers = self.headers(&parts.headers)?;
        let asked = options.and_then(|o| o.first_byte_timeout).map(|wait| started + wait);
        let until = asked.map_or(*deadline, |asked| asked.min(*deadline));
        let client = if self.binding.allow_private_addresses { &clients.any } else { &clients.public };

        let body = timeout_at(until, collect(body)).await.map_err(|_| Lost::TooLate)??;
        self.record.update(index, |exchange| exchange.request_body = self.blanked(&body));

        let watched = watch.as_ref().map(|watch| self.admit(watch, &url)).transpose()?;
        let close_ends_body = url.scheme() == "http";
        let sending = client.request(parts.method, url).headers(headers).body(body);
        // From here on it may be out, whatever happens; only a failure to connect takes this back.
        self.record.update(index, |exchange| exchange.sent = true);
        let answer = async {
            let response = sending.send().await.map_err(|error| {
                if error.is_connect() {
                    self.record.update(index, |exchange| exchange.sent = false);
                    return match private_address(&error) {
                        Some(denied) => Lost::Denied(denied),
                        None => Lost::NoConnection(chain(&error)),
                    };
                }
                Lost::ResponseIncomplete(chain(&error))
            })?;
            self.receive(index, response, close_ends_body).await
        };
        let result = timeout_at(until, answer).await.unwrap_or(Err(Lost::TooLate));
        if let Some(watched) = watched {
            watched.settle(verdict(&result));
        }
        result
    }

    /// Leave of the origin's breaker.
    fn admit(&self, watch: &Watch, url: &Url) -> Result<Watched, Lost> {
        let origin = Origin::of(url).ok_or_else(|| Lost::Denied("the address has no host".to_owned()))?;
        watch.admit(&origin).map_err(|wait_ms| {
            self.record.lock().circuit_open = true;
            Lost::CircuitOpen { origin, wait_s: wait_ms.div_ceil(1_000) }
        })
    }

    /// One exchange with a script, recorded as one on the wire would be.
    async fn play(
        &self,
        index: usize,
        script: &dyn Script,
        parts: hyper::http::request::Parts,
        body: WasiBody,
    ) -> Result<Response<Bytes>, Lost> {
        self.headers(&parts.headers)?; // A secret that is missing fails here too.
        let body = collect(body).await?;
        self.record.update(index, |exchange| exchange.request_body = self.blanked(&body));
        let asked = Asked {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
            headers: shown(&parts.headers),
            body: body.to_vec(),
        };
        self.record.update(index, |exchange| exchange.sent = true);
        let (reply, cut) = match script.answer(&asked) {
            Scripted::Whole(reply) => (reply, false),
            Scripted::CutOff(reply) => (reply, true),
            Scripted::TimedOut => return Err(Lost::TooLate),
            Scripted::Refused(why) => {
                self.record.update(index, |exchange| exchange.sent = false);
                return Err(Lost::NoConnection(why));
            }
        };
        let mut answer = reply.response()?;
        self.record.update(index, |exchange| {
            exchange.status = Some(answer.status().as_u16());
            exchange.response_headers = self.recorded(answer.headers());
            exchange.response_body = self.blanked(answer.body());
            exchange.complete = !cut;
        });
        if cut {
            return Err(Lost::ResponseIncomplete("it breaks off".to_owned()));
        }
        answer.headers_mut().remove(header::TRANSFER_ENCODING);
        answer.headers_mut().remove(header::CONNECTION);
        Ok(answer)
    }

    async fn receive(
        &self,
        index: usize,
        mut response: reqwest::Response,
        plain: bool,
    ) -> Result<Response<Bytes>, Lost> {
        let status = response.status();
        let headers = response.headers().clone();
        self.record.update(index, |exchange| {
            exchange.status = Some(status.as_u16());
            exchange.response_headers = self.recorded(&headers);
        });
        let mut body = BytesMut::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| Lost::ResponseIncomplete(chain(&error)))?
        {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(Lost::ResponseTooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        // Without TLS nothing tells an end from a cut where only the closing of the connection ends it.
        let framed = headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING)
            || matches!(status.as_u16(), 204 | 304);
        let whole = framed || !plain;
        self.record.update(index, |exchange| {
            exchange.response_body = self.blanked(&body);
            exchange.complete = whole;
        });
        if !whole {
            return Err(Lost::ResponseIncomplete("it does not say how long it is".to_owned()));
        }
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        // The guest gets the body in one piece.
        answer.headers_mut().remove(header::TRANSFER_ENCODING);
        answer.headers_mut().remove(header::CONNECTION);
        Ok(answer)
    }

    /// The address, if the binding allows it. Judged in the form in which it is going to be used.
    fn allow(&self, uri: &Uri) -> Result<Url, Lost> {
        let denied = |why: String| Lost::Denied(why);
        let url = Url::parse(&uri.to_string()).map_err(|error| denied(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied("an address must not name a user".to_owned()));
        }
        let origin = Origin::of(&url).ok_or_else(|| denied("the address has no host".to_owned()))?;
        if !self.binding.allowed_origins.contains(&origin) {
            return Err(denied(format!("the binding does not allow {origin}")));
        }
        if private_literal(&url) && !self.binding.allow_private_addresses {
            return Err(denied(format!("{origin} is a private address, which the binding does not allow")));
        }
        Ok(url)
    }

    /// The guest's headers with its secrets put in.
    fn headers(&self, guest: &HeaderMap) -> Result<HeaderMap, Lost> {
        let mut headers = HeaderMap::with_capacity(guest.len());
        for (name, value) in guest {
            // Host and length are the client's to say.
            if matches!(*name, header::HOST | header::CONTENT_LENGTH) {
                continue;
            }
            let mut filled = fill(value.as_bytes(), &self.binding.secrets)?;
            filled.set_sensitive(true);
            headers.append(name.clone(), filled);
        }
        Ok(headers)
    }

    fn recorded(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| (name.to_string(), self.recorded_value(name, value))).collect()
    }

    fn recorded_value(&self, name: &HeaderName, value: &HeaderValue) -> String {
        let text = self.blanked(value.as_bytes());
        let secretive =
            [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE]
                .contains(name);
        if secretive && !text.contains("{secret:") { "[blanked]".to_owned() } else { text }
    }

    /// The start of a text for the record, without secrets and card numbers.
    fn blanked(&self, bytes: &[u8]) -> String {
        // A little more than is kept, so that a secret across the cut is still seen whole.
        let head = &bytes[..bytes.len().min(2 * RECORDED_BYTES_MAX)];
        let mut text = String::from_utf8_lossy(head).into_owned();
        for (name, secret) in &self.binding.secrets {
            if let Ok(secret) = str::from_utf8(secret.expose())
                && !secret.is_empty()
            {
                text = text.replace(secret, &format!("{{secret:{name}}}"));
            }
        }
        prefix(&blank_cards(&text), RECORDED_BYTES_MAX).to_owned()
    }
}

/// What an exchange says about the other side.
fn verdict(result: &Result<Response<Bytes>, Lost>) -> Verdict {
    match result {
        Ok(answer) if answer.status().is_server_error() => Verdict::Failed,
        Ok(_) | Err(Lost::ResponseTooLarge) => Verdict::Answered,
        Err(Lost::NoConnection(_) | Lost::TooLate | Lost::ResponseIncomplete(_)) => Verdict::Failed,
        Err(_) => Verdict::Neither,
    }
}

/// The whole body of a request, or why not.
async fn collect(mut body: WasiBody) -> Result<Bytes, Lost> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Lost::RequestIncomplete)?.into_data() else {
            continue; // Trailers: the client sends none.
        };
        if all.len() + data.len() > BODY_BYTES_MAX {
            return Err(Lost::RequestTooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

impl Reply {
    fn response(self) -> Result<Response<Bytes>, Lost> {
        let unusable =
            |what: String| Lost::ResponseIncomplete(format!("the script's {what} is not valid HTTP"));
        if self.body.len() > BODY_BYTES_MAX {
            return Err(Lost::ResponseTooLarge);
        }
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).map_err(|_| unusable(format!("status {}", self.status)))?;
        for (name, value) in self.headers {
            let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
            let (name, value) = header.ok_or_else(|| unusable(format!("header `{name}`")))?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

/// The headers as the guest wrote them.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Replaces each `{secret:NAME}` of a header value.
pub(super) fn fill(value: &[u8], secrets: &HashMap<String, Secret>) -> Result<HeaderValue, Lost> {
    const OPEN: &[u8] = b"{secret:";
    let mut filled = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.windows(OPEN.len()).position(|window| window == OPEN) {
        let name_start = start + OPEN.len();
        let Some(length) = rest[name_start..].iter().position(|byte| *byte == b'}') else { break };
        let name = String::from_utf8_lossy(&rest[name_start..name_start + length]);
        let secret = secrets.get(name.as_ref()).ok_or_else(|| Lost::NoSecret(name.into_owned()))?;
        filled.extend_from_slice(&rest[..start]);
        filled.extend_from_slice(secret.expose());
        rest = &rest[name_start + length + 1..];
    }
    filled.extend_from_slice(rest);
    HeaderValue::from_bytes(&filled)
        .map_err(|_| Lost::Denied("a header value has bytes that are not allowed".to_owned()))
}

/// Replaces runs of 13 to 19 digits that pass the check of card numbers.
fn blank_cards(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '-'))).unwrap_or(rest.len());
        let run = rest[..end].trim_end_matches([' ', '-']);
        let digits: Vec<u8> = run.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        if (13..=19).contains(&digits.len()) && passes_luhn(&digits) {
            out.push_str("[card]");
        } else {
            out.push_str(run);
        }
        rest = &rest[run.len()..];
    }
    out.push_str(rest);
    out
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 0 { digit } else { digit * 2 % 10 + digit / 5 }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn private_address(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(private) = error.downcast_ref::<PrivateAddress>() {
            return Some(private.to_string());
        }
        next = error.source();
    }
    None
}

/// An error with its causes, without the address: that is in the record already.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        next = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in ["8.8.8.8", "100.63.0.1", "2606:4700::1111", "2002:808:808::1", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "ff02::1",
            "2001::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_that_points_inside_leads_nowhere() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // As a DNS server under the guest's control answers.
        let clients = Clients::looking_up(|name| {
            let inside: &[&str] = match name.as_str() {
                "inside.example" => &["127.0.0.1"],
                "metadata.example" => &["169.254.169.254", "fd00:ec2::254"],
                _ => &["10.0.0.1", "::ffff:127.0.0.1", "192.168.0.1"],
            };
            let found = inside.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
            Box::pin(async { Ok(found) })
        })
        .unwrap();
        for name in ["inside.example", "metadata.example", "many.example"] {
            let error = clients.public.get(format!("http://{name}:{port}/")).send().await.unwrap_err();
            let denied = private_address(&error).unwrap();
            assert!(error.is_connect() && denied.contains("private address"), "{name}: {denied}");
        }
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "somebody came through");
        // With the binding's leave the same name works: it was the rule that stopped it.
        let sent = tokio::spawn(clients.any.get(format!("http://inside.example:{port}/")).send());
        listener.accept().await.unwrap();
        sent.abort();
    }

    #[test]
    fn secrets_are_put_in_and_unknown_ones_are_named() {
        let secrets = HashMap::from([("key".to_owned(), Secret::new("sk_1"))]);
        let filled = |text: &str| fill(text.as_bytes(), &secrets);
        assert_eq!(filled("Bearer {secret:key}!").unwrap(), "Bearer sk_1!");
        assert_eq!(filled("{secret:key}{secret:key}").unwrap(), "sk_1sk_1");
        assert_eq!(filled("{secret:key").unwrap(), "{secret:key");
        assert!(matches!(filled("{secret:other}"), Err(Lost::NoSecret(name)) if name == "other"));
    }

    #[test]
    fn a_secret_cannot_smuggle_a_header() {
        let secrets = HashMap::from([("key".to_owned(), Secret::new("a\r\nb: c"))]);
        assert!(matches!(fill(b"{secret:key}", &secrets), Err(Lost::Denied(_))));
    }

    #[test]
    fn card_numbers_are_blanked_and_other_numbers_are_not() {
        assert_eq!(blank_cards(r#"{"n":"4242 4242-42424242"}"#), r#"{"n":"[card]"}"#);
        assert_eq!(blank_cards("4242424242424241, 1700000000, x"), "4242424242424241, 1700000000, x");
    }

    #[test]
    fn the_allow_list_is_about_the_address_as_it_is_used() {
        let binding = Binding {
            allowed_origins: vec![
                "https://api.example.com".parse().unwrap(),
                "http://127.0.0.1:80".parse().unwrap(),
            ],
            ..Binding::default()
        };
        let sender = Sender { network: Network::None, binding: Arc::new(binding), record: Record::default() };
        let allowed = |uri: &'static str| sender.allow(&Uri::from_static(uri)).is_ok();
        assert!(allowed("https://API.example.com:443/v1/x?y"));
        for refused in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.org/",
            "https://api.example.com@evil.org/",
            "https://me@api.example.com/",
            "http://127.0.0.1/",
            "http://2130706433/",
        ] {
            assert!(!allowed(refused), "{refused}");
        }
    }
}
