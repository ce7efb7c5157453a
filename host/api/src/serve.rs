//! Connections: accepted, limited, and finished before the host stops.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::Service as _;

/// Connections at the same time. Each has a socket and about 20 kB; more wait in the system's queue.
const CONNECTIONS_MAX: u32 = 8192;
/// Longest time the head of a request may take.
const HEAD_WAIT: Duration = Duration::from_secs(15);
/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Time that requests under way have when the host stops: as long as the longest `Prefer: wait`.
const STOP_WAIT: Duration = Duration::from_secs(65);

/// Serves until `shutdown` is ready and the requests under way are answered.
///
/// # Errors
/// None today: a connection that fails is its own affair. Kept for listeners that can fail for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let stopping = watch::Sender::new(false);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let place = tokio::select! {
            () = &mut shutdown => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file handles, or the peer left: the next one may do better.
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // An answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut router = router.clone();
            async move {
                Ok::<_, Infallible>(unwrap(router.call(request.map(axum::body::Body::new) as Request).await))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut told = stopping.subscribe();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = told.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    // All places are free when no connection is left.
    if tokio::time::timeout(STOP_WAIT, places.acquire_many(CONNECTIONS_MAX)).await.is_err() {
        tracing::warn!("requests were still under way when the host stopped");
    }
    Ok(())
}

fn unwrap<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
