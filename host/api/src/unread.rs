//! Bodies that nobody has read to their end when the answer goes out. A connection cannot go on behind such a body: it
//! is closed, and the answer says so, so that no client sends its next request into a connection that is about to go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that tells when its end was read.
struct Watched {
    body: Body,
    ended: Ended,
}

/// Whether the end of a body was read.
#[derive(Clone)]
pub(crate) struct Ended(Arc<AtomicBool>);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let read = Pin::new(&mut self.body).poll_frame(context);
        if matches!(read, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended.0.store(true, Ordering::Relaxed);
        }
        read
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Watches the body of a request.
pub(crate) fn watched(request: Request) -> (Request, Ended) {
    let ended = Ended(Arc::new(AtomicBool::new(request.body().is_end_stream())));
    let watched = ended.clone();
    (request.map(|body| Body::new(Watched { body, ended: watched })), ended)
}

impl Ended {
    /// Tells the client that the connection ends with this answer, where it does.
    pub(crate) fn told(&self, response: &mut Response) {
        if !self.0.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_goes_on_behind_a_body_that_was_read_or_is_none() {
        for (body, read, closes) in [("", false, false), ("{}", true, false), ("{}", false, true)] {
            let (request, ended) = watched(Request::new(Body::from(body)));
            if read {
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), body);
            }
            let mut response = Response::new(Body::empty());
            ended.told(&mut response);
            assert_eq!(response.headers().contains_key(header::CONNECTION), closes, "{body} {read}");
        }
    }
}
