//! How often a customer may call the cart and the checkout. The limit is the merchant's; other routes have none.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use till_commerce::Allowance;

use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};

/// Of the draft of the IETF's HTTP API group; the policy is named `customer`.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// Paths that are counted.
const COUNTED: [&str; 2] = ["/api/v1/cart", "/api/v1/checkout"];

/// Counts the calls of each customer and refuses those beyond the limit. A call without a good token is refused behind
/// this, and not counted.
pub(crate) async fn limited(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let counted = COUNTED
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if !counted {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &app).await;
    let request = Request::from_parts(parts, body);
    let Ok(caller) = caller else { return next.run(request).await };
    let allowance = match app.shop.call_counted(&caller.merchant, &caller.sub).await {
        Ok(Some(allowance)) => allowance,
        Ok(None) => return next.run(request).await,
        Err(error) => return Problem::from(error).into_response(),
    };
    let [policy, left] = told(allowance);
    if allowance.refused {
        let Allowance { limit, window_s, ends_in_s, .. } = allowance;
        let detail = format!(
            "{limit} calls of cart and checkout in {window_s} s are allowed for each customer; call again in {ends_in_s} s"
        );
        let problem = Problem::new(Code::RateLimited, detail)
            .header(header::RETRY_AFTER, &ends_in_s.max(1).to_string())
            .header(POLICY, &policy)
            .header(LEFT, &left);
        return problem.into_response();
    }
    let mut response = next.run(request).await;
    // Problems carry their headers apart until they are written.
    let headers = match response.extensions_mut().get_mut::<Problem>() {
        Some(problem) => problem.headers_mut(),
        None => response.headers_mut(),
    };
    for (name, value) in [(POLICY, policy), (LEFT, left)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// The policy, and what is left of it.
fn told(allowance: Allowance) -> [String; 2] {
    let Allowance { limit, window_s, left, ends_in_s, .. } = allowance;
    [format!("\"customer\";q={limit};w={window_s}"), format!("\"customer\";r={left};t={ends_in_s}")]
}
