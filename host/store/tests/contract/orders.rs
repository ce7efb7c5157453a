//! Orders.

use till_store::tables::purchase::{BegunOrders, OrderFilter, OrderRow};
use uuid::Uuid;

use super::{MERCHANT, stores};

#[tokio::test]
async fn orders_begun_lately_are_counted_for_one_customer_with_those_that_failed() {
    for (store, _guard) in stores().await {
        let row = |n: i64, customer: &str| OrderRow {
            id: format!("o{n}"),
            number: format!("ORD-{n}"),
            customer: customer.to_owned(),
            uid: Uuid::now_v7(),
            status: "PENDING_PAYMENT".to_owned(),
            version: 1,
            body: "{}".to_owned(),
            created_us: n * 100,
            updated_us: n * 100,
        };
        let rows = [row(1, "jane"), row(2, "jane"), row(3, "jane"), row(4, "john")];
        store
            .transact(move |tx| {
                let rows = rows.clone();
                Box::pin(async move {
                    for row in &rows {
                        assert!(tx.insert_order(MERCHANT, row).await?);
                    }
                    let moved =
                        tx.move_order(MERCHANT, "o2", "PENDING_PAYMENT", "PAYMENT_FAILED", "{}", 500).await?;
                    assert!(moved);
                    Ok(())
                })
            })
            .await
            .unwrap();
        let mut tx = store.read().await.unwrap();
        for (since_us, begun, failed) in [(0, 3, 1), (200, 2, 1), (201, 1, 0), (301, 0, 0)] {
            let counted = tx.begun_orders(MERCHANT, "jane", since_us).await.unwrap();
            assert_eq!(counted, BegunOrders { begun, failed }, "since {since_us}");
        }
        let nobody = tx.begun_orders("another", "jane", 0).await.unwrap();
        assert_eq!(nobody, BegunOrders { begun: 0, failed: 0 });
    }
}

#[tokio::test]
async fn a_customers_orders_come_in_pages_by_status_and_time() {
    for (store, _guard) in stores().await {
        let row = |n: i64, at: i64, status: &str, customer: &str| OrderRow {
            id: format!("p{n}"),
            number: format!("PAGE-{n}"),
            customer: customer.to_owned(),
            uid: Uuid::now_v7(),
            status: status.to_owned(),
            version: 1,
            body: "{}".to_owned(),
            created_us: at,
            updated_us: at,
        };
        let rows = [
            row(1, 100, "CONFIRMED", "jane"),
            row(2, 200, "SHIPPED", "jane"),
            row(3, 200, "CONFIRMED", "jane"),
            row(4, 300, "CONFIRMED", "jane"),
            row(5, 250, "CONFIRMED", "john"),
        ];
        store
            .transact(move |tx| {
                let rows = rows.clone();
                Box::pin(async move {
                    for row in &rows {
                        assert!(tx.insert_order(MERCHANT, row).await?);
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
        let mut tx = store.read().await.unwrap();
        let all = OrderFilter::default();
        let confirmed = OrderFilter { status: "CONFIRMED".to_owned(), ..all.clone() };
        let between = OrderFilter { from_us: 200, to_us: 300, ..all.clone() };
        for (filter, before, limit, ids) in [
            (&all, (i64::MAX, ""), 10, &["p4", "p3", "p2", "p1"][..]),
            (&all, (i64::MAX, ""), 2, &["p4", "p3"]),
            (&all, (200, "p3"), 10, &["p2", "p1"]),
            (&confirmed, (300, "p4"), 10, &["p3", "p1"]),
            (&between, (i64::MAX, ""), 10, &["p3", "p2"]),
        ] {
            let rows = tx.orders(MERCHANT, "jane", filter, before, limit).await.unwrap();
            assert_eq!(
                rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
                ids,
                "{filter:?} {before:?}"
            );
        }
    }
}
