//! Fetches the keys of whoever signs tokens, for as long as the host runs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use till_api::{KEY_SET_BYTES_MAX, KeySet};

/// How old keys get before they are fetched again.
const FETCHED_EVERY: Duration = Duration::from_secs(600);
/// After a fetch that failed.
const TRIED_EVERY: Duration = Duration::from_secs(30);
/// A fetch takes no longer.
const FETCH_TIME: Duration = Duration::from_secs(5);

/// The keys at an address. A first fetch that fails is told in the log and tried again: until then nobody gets in with
/// such a token.
pub async fn follow(url: &str) -> anyhow::Result<KeySet> {
    let address = reqwest::Url::parse(url).with_context(|| format!("read jwks_url `{url}`"))?;
    let here = address.host_str().is_some_and(|host| ["127.0.0.1", "[::1]", "localhost"].contains(&host));
    if address.scheme() != "https" && !(address.scheme() == "http" && here) {
        bail!(
            "jwks_url `{url}` has to be https, or http on this very machine: who changes it changes who gets in"
        );
    }
    let client = reqwest::Client::builder()
        .timeout(FETCH_TIME)
        // Whoever may redirect may say who gets in.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("get ready to fetch keys")?;
    let keys = KeySet::default();
    let mut fine = fetched(&client, &address, &keys).await;
    let followed = keys.clone();
    tokio::spawn(async move {
        loop {
            let wait = if fine { FETCHED_EVERY } else { TRIED_EVERY };
            let _ = tokio::time::timeout(wait, followed.asked()).await;
            fine = fetched(&client, &address, &followed).await;
        }
    });
    Ok(keys)
}

/// One fetch. False: the keys are as they were.
async fn fetched(client: &reqwest::Client, url: &reqwest::Url, keys: &KeySet) -> bool {
    let taken = match document(client, url).await {
        Ok(document) => keys.replace(&document),
        Err(error) => Err(format!("{error:#}")),
    };
    match taken {
        Ok(count) => tracing::debug!(count, %url, "keys for tokens are fetched"),
        Err(why) => {
            tracing::warn!(why, %url, "fetch keys for tokens; those that are known stay");
            keys.fetched();
            return false;
        }
    }
    true
}

async fn document(client: &reqwest::Client, url: &reqwest::Url) -> anyhow::Result<Vec<u8>> {
    let mut answer = client.get(url.clone()).send().await.context("ask for the keys")?;
    if !answer.status().is_success() {
        bail!("the answer has the status {}", answer.status());
    }
    let mut document = vec![];
    while let Some(part) = answer.chunk().await.context("read the keys")? {
        document.extend_from_slice(&part);
        if document.len() > KEY_SET_BYTES_MAX {
            bail!("the document has more than {KEY_SET_BYTES_MAX} bytes");
        }
    }
    Ok(document)
}
