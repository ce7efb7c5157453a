//! Ids of providers lead to checkouts.

use uuid::Uuid;

use super::{MERCHANT, stores};

#[tokio::test]
async fn an_id_of_a_provider_leads_to_the_checkout_that_noted_it_first() {
    for (store, _guard) in stores().await {
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        store
            .transact(move |tx| {
                Box::pin(async move {
                    for (merchant, value, uid) in [
                        (MERCHANT, "order_1", first),
                        (MERCHANT, "order_1", first),
                        (MERCHANT, "order_1", second),
                        (MERCHANT, "order_2", second),
                        ("another", "order_1", second),
                    ] {
                        tx.note_payment_reference(merchant, "order", value, uid).await?;
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
        let mut tx = store.read().await.unwrap();
        for (merchant, kind, value, found) in [
            (MERCHANT, "order", "order_1", Some(first)),
            (MERCHANT, "order", "order_2", Some(second)),
            ("another", "order", "order_1", Some(second)),
            ("another", "order", "order_2", None),
            (MERCHANT, "payment", "order_1", None),
            (MERCHANT, "order", "order_3", None),
        ] {
            let uid = tx.checkout_of_reference(merchant, kind, value).await.unwrap();
            assert_eq!(uid, found, "{merchant} {kind} {value}");
        }
    }
}
