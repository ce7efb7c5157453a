//! API keys, roles and the audit log.

use till_store::tables::access::{ApiKeyRow, AuditFilter, AuditRow, RoleRow};

use super::{MERCHANT, stores};

fn key(id: &str, created_us: i64) -> ApiKeyRow {
    ApiKeyRow {
        id: id.to_owned(),
        merchant: MERCHANT.to_owned(),
        name: "till at the door".to_owned(),
        hash: "00".to_owned(),
        scopes: r#"["orders"]"#.to_owned(),
        roles: "[]".to_owned(),
        who: "tests".to_owned(),
        created_us,
        expires_us: None,
        revoked_us: None,
        used_us: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_listed_used_and_revoked_once_by_their_merchant_alone() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    tx.put_api_key(&key("a", 1)).await?;
                    tx.put_api_key(&key("b", 2)).await?;
                    tx.put_api_key(&ApiKeyRow { expires_us: Some(5), ..key("c", 2) }).await?;
                    tx.put_api_key(&ApiKeyRow { merchant: "other".to_owned(), ..key("d", 3) }).await?;
                    assert!(!tx.revoke_api_key("other", "a", 9).await?, "it is not theirs");
                    assert!(tx.revoke_api_key(MERCHANT, "a", 10).await?);
                    assert!(tx.revoke_api_key(MERCHANT, "a", 11).await?);
                    tx.use_api_key("b", 20).await?;
                    tx.use_api_key("b", 15).await
                })
            })
            .await
            .expect("keys");
        let mut tx = store.read().await.expect("a read");
        let revoked = tx.api_key("a").await.expect("a read");
        assert_eq!(revoked, Some(ApiKeyRow { revoked_us: Some(10), ..key("a", 1) }));
        assert_eq!(tx.api_key("b").await.expect("a read").and_then(|key| key.used_us), Some(20));
        assert_eq!(tx.api_key("x").await.expect("a read"), None);
        let ids = |rows: Vec<ApiKeyRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(tx.api_keys(MERCHANT, (i64::MAX, ""), 2).await.expect("a read")), ["c", "b"]);
        assert_eq!(ids(tx.api_keys(MERCHANT, (2, "b"), 2).await.expect("a read")), ["a"]);
        assert_eq!(tx.api_keys_alive(MERCHANT, 4).await.expect("a read"), 2);
        assert_eq!(tx.api_keys_alive(MERCHANT, 5).await.expect("a read"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_a_merchants_own() {
    for (store, _dir) in stores().await {
        let role = |scopes: &str| RoleRow {
            name: "door".to_owned(),
            description: "At the door".to_owned(),
            scopes: scopes.to_owned(),
        };
        let (first, second) = (role("[]"), role(r#"["orders"]"#));
        let last = second.clone();
        store
            .transact(move |tx| {
                let (first, second) = (first.clone(), second.clone());
                Box::pin(async move {
                    tx.put_role(MERCHANT, &first).await?;
                    tx.put_role(MERCHANT, &second).await?;
                    assert!(!tx.drop_role("other", "door").await?);
                    Ok(())
                })
            })
            .await
            .expect("a role");
        assert_eq!(store.read().await.expect("a read").roles(MERCHANT).await.expect("a read"), [last]);
        let dropped = store.transact(|tx| Box::pin(async move { tx.drop_role(MERCHANT, "door").await }));
        assert!(dropped.await.expect("a role"));
        assert!(store.read().await.expect("a read").roles(MERCHANT).await.expect("a read").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_read_by_time_actor_and_path() {
    for (store, _dir) in stores().await {
        let row = |id: &str, at_us: i64, actor: &str, path: &str| AuditRow {
            id: id.to_owned(),
            at_us,
            actor: actor.to_owned(),
            method: "PUT".to_owned(),
            route: "/a/{b}".to_owned(),
            path: path.to_owned(),
            request: "r".to_owned(),
            status: None,
        };
        let all = [row("1", 1, "ann", "/a/é1"), row("2", 2, "bob", "/a/2"), row("3", 2, "ann", "/b/1")];
        store
            .transact(move |tx| {
                let all = all.clone();
                Box::pin(async move {
                    for row in &all {
                        tx.put_audit(MERCHANT, row).await?;
                    }
                    tx.end_audit(MERCHANT, "1", 204).await
                })
            })
            .await
            .expect("commands");
        let mut tx = store.read().await.expect("a read");
        let mut ids = async |filter: AuditFilter<'_>, before: (i64, &str), limit: i64| {
            let rows = tx.audit(MERCHANT, filter, before, limit).await.expect("a read");
            rows.into_iter().map(|row| format!("{}:{:?}", row.id, row.status)).collect::<Vec<_>>()
        };
        let end = (i64::MAX, "");
        let any = AuditFilter::default();
        assert_eq!(ids(any, end, 2).await, ["3:None", "2:None"]);
        assert_eq!(ids(any, (2, "2"), 2).await, ["1:Some(204)"]);
        assert_eq!(ids(AuditFilter { actor: "ann", ..any }, end, 9).await, ["3:None", "1:Some(204)"]);
        assert_eq!(ids(AuditFilter { path: "/a/é", ..any }, end, 9).await, ["1:Some(204)"]);
        assert_eq!(ids(AuditFilter { from_us: 2, ..any }, end, 9).await, ["3:None", "2:None"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_is_summed_over_days_by_label_and_currency() {
    use till_store::tables::audience::MetricRow;
    for (store, _dir) in stores().await {
        let row = |day: &str, label: &str, currency: &str, count: i64| MetricRow {
            day: day.to_owned(),
            name: "n".to_owned(),
            label: label.to_owned(),
            currency: currency.to_owned(),
            count,
            amount: count * 10,
        };
        let all = [
            row("2024-08-01", "a", "USD", 1),
            row("2024-08-02", "a", "USD", 2),
            row("2024-08-02", "b", "USD", 4),
            row("2024-08-02", "a", "EUR", 8),
            row("2024-08-03", "a", "USD", 16),
        ];
        store
            .transact(move |tx| {
                let all = all.clone();
                Box::pin(async move {
                    for row in &all {
                        tx.add_metric(MERCHANT, row).await?;
                    }
                    Ok(())
                })
            })
            .await
            .expect("metrics");
        let days = ("2024-08-01", "2024-08-02");
        let sums = store.read().await.expect("a read").metric_sums(MERCHANT, "n", days, 9).await;
        let expected = [row("", "a", "EUR", 8), row("", "a", "USD", 3), row("", "b", "USD", 4)];
        assert_eq!(sums.expect("a read"), expected);
    }
}
