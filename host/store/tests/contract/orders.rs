//! Orders.

use till_store::tables::purchase::{BegunOrders, OrderRow};
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
