//! One request over the host's HTTP.

use crate::config::Config;
use crate::exchange::{Lost, Request, Response};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

/// Written to the host in pieces of this size: the most that a stream takes in one go.
const PIECE_BYTES: usize = 4_096;

/// Sends a request and takes in the whole answer.
pub fn send(config: &Config, request: Request) -> Result<Response, Lost> {
    let outgoing = build(config, &request)?;
    let body = outgoing.body().map_err(|()| not_sent("the request has no body"))?;
    let answer = outgoing_handler::handle(outgoing, None).map_err(|error| lost(&error))?;
    write(body, request.body.map(|body| body.to_string()).unwrap_or_default().as_bytes())?;
    answer.subscribe().block();
    let response = answer
        .get()
        .ok_or_else(|| unknown("the host gave no answer"))?
        .map_err(|()| unknown("the answer was taken before"))?
        .map_err(|error| lost(&error))?;
    read(&response)
}

fn build(config: &Config, request: &Request) -> Result<OutgoingRequest, Lost> {
    let (scheme, authority) = match config.base_url.split_once("://") {
        Some(("https", authority)) => (Scheme::Https, authority),
        Some(("http", authority)) => (Scheme::Http, authority),
        _ => return Err(not_sent("`base_url` must begin with http:// or https://")),
    };
    let mut headers = vec![("authorization".to_owned(), config.authorization().into_bytes())];
    if request.body.is_some() {
        headers.push(("content-type".to_owned(), b"application/json".to_vec()));
    }
    if let Some(key) = &request.key {
        headers.push((config.key_header(&request.path).to_owned(), key.clone().into_bytes()));
    }
    let headers = Fields::from_list(&headers).map_err(|error| not_sent(&format!("{error:?}")))?;
    let outgoing = OutgoingRequest::new(headers);
    let method = if request.body.is_some() { Method::Post } else { Method::Get };
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&request.path)))
        .map_err(|()| not_sent("the address is not valid"))?;
    Ok(outgoing)
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Lost> {
    let stream = body.write().map_err(|()| unknown("the request body cannot be written"))?;
    for piece in bytes.chunks(PIECE_BYTES) {
        stream.blocking_write_and_flush(piece).map_err(|error| unknown(&format!("{error:?}")))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|error| lost(&error))
}

fn read(response: &IncomingResponse) -> Result<Response, Lost> {
    let status = response.status();
    let body = response.consume().map_err(|()| unknown("the answer was taken before"))?;
    let stream = body.stream().map_err(|()| unknown("the answer was taken before"))?;
    let bytes = read_all(&stream)?;
    drop(stream);
    IncomingBody::finish(body);
    Ok(Response { status, body: bytes })
}

fn read_all(stream: &InputStream) -> Result<Vec<u8>, Lost> {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(u64::MAX) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(bytes),
            // An error is not the end: a body that breaks off must not pass for a whole one.
            Err(StreamError::LastOperationFailed(error)) => return Err(unknown(&error.to_debug_string())),
        }
    }
}

/// Only what surely failed before anything was sent counts as not sent.
fn lost(error: &ErrorCode) -> Lost {
    let text = format!("{error:?}");
    match error {
        ErrorCode::ConnectionRefused
        | ErrorCode::HttpRequestDenied
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::DnsError(_) => Lost::NotSent(text),
        _ => Lost::Unknown(text),
    }
}

fn not_sent(text: &str) -> Lost {
    Lost::NotSent(text.to_owned())
}

fn unknown(text: &str) -> Lost {
    Lost::Unknown(text.to_owned())
}
