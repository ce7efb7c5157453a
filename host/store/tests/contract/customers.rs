//! Customers as they are held and found, and carts that were left.

use std::sync::Arc;

use super::{Bench, MERCHANT, stores};

#[tokio::test]
async fn a_customer_is_written_by_one_at_a_time_and_found_by_id_and_mail() {
    for (store, _guard) in stores().await {
        let store = Arc::new(store);
        // Each of twenty at one time adds a letter to what the one before has written.
        let add = |_| {
            let store = store.clone();
            async move {
                store
                    .transact(|tx| {
                        Box::pin(async move {
                            let body = tx.hold_customer(MERCHANT, "CUST-1", "x").await?;
                            tx.set_customer(MERCHANT, "CUST-1", &format!("{body}x"), "jane@example.com").await
                        })
                    })
                    .await
            }
        };
        for done in futures::future::join_all((0..20).map(add)).await {
            done.unwrap();
        }
        store
            .transact(|tx| {
                Box::pin(async move {
                    for (id, email) in
                        [("CUST-2", "john@example.com"), ("x-3", ""), ("%", "jane_%@x.example")]
                    {
                        tx.hold_customer(MERCHANT, id, "{}").await?;
                        tx.set_customer(MERCHANT, id, "{}", email).await?;
                    }
                    tx.hold_customer("another", "CUST-9", "{}").await.map(|_| ())
                })
            })
            .await
            .unwrap();
        let mut tx = store.read().await.unwrap();
        let row = tx.customer(MERCHANT, "CUST-1").await.unwrap().unwrap();
        assert_eq!((row.body.len(), row.points, row.orders), (21, 0, 0));
        for (id, email, after, limit, found) in [
            ("", "", "", 10, &["%", "CUST-1", "CUST-2", "x-3"][..]),
            ("CUST", "cust", "", 10, &["CUST-1", "CUST-2"]),
            ("CUST", "cust", "CUST-1", 10, &["CUST-2"]),
            ("", "", "", 1, &["%"]),
            ("Jane", "jane", "", 10, &["%", "CUST-1"]),
            ("jane_", "jane_", "", 10, &["%"]),
            ("%", "%", "", 10, &["%"]),
            ("CUST-9", "cust-9", "", 10, &[]),
        ] {
            let rows = tx.customers(MERCHANT, (id, email), after, limit).await.unwrap();
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            let mut found = found.to_vec();
            // Databases order signs and letters by rules of their own.
            let mut ids_sorted = ids.clone();
            ids_sorted.sort_unstable();
            found.sort_unstable();
            if limit > 1 {
                assert_eq!(ids_sorted, found, "{id}");
            } else {
                assert_eq!(ids.len(), 1);
            }
        }
    }
}

#[tokio::test]
async fn a_cart_is_left_once_for_each_of_its_versions() {
    for (store, _guard) in stores().await {
        let store = Arc::new(store);
        store
            .transact(|tx| {
                Box::pin(async move {
                    for (id, customer, at) in [("c1", "jane", 100), ("c2", "john", 100), ("c3", "ann", 300)] {
                        tx.insert_cart(MERCHANT, id, customer, "{}", at).await?;
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
        let left = async |before_us: i64, after: (i64, &str), limit: i64| -> Vec<String> {
            let mut tx = store.read().await.unwrap();
            let rows = tx.carts_left(MERCHANT, before_us, after, limit).await.unwrap();
            rows.into_iter().map(|row| row.id).collect()
        };
        assert_eq!(
            left(300, (i64::MIN, ""), 10).await,
            ["c1", "c2"],
            "one that was touched later is not left"
        );
        assert_eq!(left(301, (i64::MIN, ""), 1).await, ["c1"]);
        assert_eq!(left(301, (100, "c1"), 10).await, ["c2", "c3"], "pages go on where they ended");
        // Ten at one time: one of them tells it.
        let take = |_| {
            let store = store.clone();
            async move {
                store
                    .transact(|tx| Box::pin(async move { tx.leave_cart(MERCHANT, "c1", 1).await }))
                    .await
                    .unwrap()
            }
        };
        let told = futures::future::join_all((0..10).map(take)).await;
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert_eq!(left(301, (i64::MIN, ""), 10).await, ["c2", "c3"]);
        let changed = store.transact(|tx| {
            Box::pin(async move {
                assert!(!tx.leave_cart(MERCHANT, "c2", 2).await?, "another version");
                assert!(tx.update_cart(MERCHANT, "c1", 1, "{}", 400).await?, "being told is no change");
                assert!(tx.archive_cart(MERCHANT, "c2", 1, 400).await?);
                assert!(!tx.leave_cart(MERCHANT, "c2", 2).await?, "no cart of now");
                Ok(())
            })
        });
        changed.await.unwrap();
        assert_eq!(left(401, (i64::MIN, ""), 10).await, ["c3", "c1"], "a change counts anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_something_under_way_until_it_rests_or_has_ended() {
    for (store, _guard) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        let uid = till.start("a").await;
        till.at(uid, "wait").await;
        let under_way = async |customer: &str, rests: &str, since_us: i64| {
            let mut tx = till.store.read().await.unwrap();
            tx.under_way(MERCHANT, customer, ("toy", rests), since_us).await.unwrap()
        };
        let later = till.runner.clock().now_us() + 1;
        assert!(!under_way("s", "wait", later).await, "it rests");
        assert!(under_way("s", "wait", 0).await, "it rests, and was changed since");
        assert!(under_way("s", "editable", later).await, "it is in another state");
        assert!(!under_way("t", "editable", 0).await && !under_way("", "editable", 0).await);
        till.go(uid, "1").await;
        till.at(uid, "done").await;
        assert!(!under_way("s", "wait", 0).await, "it has ended");
    }
}

#[tokio::test]
async fn merchants_are_found_by_what_their_settings_say() {
    for (store, _guard) in stores().await {
        let put = store.transact(|tx| {
            Box::pin(async move {
                tx.put_setting("says-it", r#"{"carts":{"sought_s":60}}"#, 1).await?;
                tx.put_setting("says-less", r#"{"carts":{}}"#, 1).await?;
                tx.put_setting("says-something-alike", r#"{"channel":"sought_s"}"#, 1).await
            })
        });
        put.await.unwrap();
        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.merchants_saying("sought_s").await.unwrap(), ["says-it"]);
    }
}
