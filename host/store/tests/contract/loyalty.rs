//! Points: changed once by id, never below what is held, and found when they are old.

use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use till_store::tables::loyalty::{PointsChange, PointsSums};
use uuid::Uuid;

use super::{MERCHANT, SET, stores};

fn change(id: &str, delta: i64, at_us: i64) -> PointsChange<'_> {
    PointsChange { id, customer: "ann", delta, lifetime: delta, reason: "adjusted", note: "n", at_us }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_change_once_by_id_and_what_is_held_stays() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    tx.put_customer(MERCHANT, "ann", "{}", 100, 1).await?;
                    tx.put_customer(MERCHANT, "ann", "{}", 900, 2).await?;
                    let opening = tx.points_entry(MERCHANT, "opening:ann").await?.map(|entry| entry.delta);
                    assert_eq!(opening, Some(100), "once");
                    assert!(tx.change_points(MERCHANT, &change("a", 50, 5)).await?);
                    assert!(!tx.change_points(MERCHANT, &change("a", 50, 5)).await?, "once");
                    let uid = Uuid::from_u128(1);
                    let hold = NewHold {
                        id: "h".to_owned(),
                        kind: HoldKind::Points,
                        what: "ann".to_owned(),
                        place: "ann".to_owned(),
                        quantity: 120,
                        limits: (None, None),
                        uid,
                        expires_us: 0,
                    };
                    assert_eq!(tx.hold(MERCHANT, &hold).await?, Held::Yes);
                    assert!(!tx.change_points(MERCHANT, &change("b", -31, 6)).await?, "30 are free");
                    assert!(tx.change_points(MERCHANT, &change("c", -30, 7)).await?);
                    tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 8).await?;
                    let row = tx.customer(MERCHANT, "ann").await?.expect("ann");
                    assert_eq!((row.points, row.points_held, row.lifetime), (0, 0, 120));
                    let sums = tx.points_sums(MERCHANT, "ann", 6).await?;
                    assert_eq!(sums, PointsSums { old: 150, gone: 150, all: 0 });
                    assert_eq!(tx.points_sums(MERCHANT, "ann", 5).await?.old, 100);
                    assert!(tx.change_points(MERCHANT, &change("d", 9, 9)).await?);
                    assert_eq!(tx.customers_with_old_points(MERCHANT, 6, "", 9).await?, ["ann"]);
                    assert!(tx.customers_with_old_points(MERCHANT, 6, "ann", 9).await?.is_empty());
                    assert!(tx.customers_with_old_points(MERCHANT, 1, "", 9).await?.is_empty());
                    let page = tx.points_entries(MERCHANT, "ann", (9, "d"), 2).await?;
                    let ids: Vec<&str> = page.iter().map(|entry| entry.id.as_str()).collect();
                    assert_eq!(ids, ["h", "c"]);
                    Ok(())
                })
            })
            .await
            .expect("all of it");
    }
}

/// The money is taken when points are earned: neither a race for the customer's row nor any balance may fail it.
#[tokio::test(flavor = "multi_thread")]
async fn points_are_earned_by_whoever_is_new_and_by_whoever_has_more_than_can_be_counted() {
    for (store, _dir) in stores().await {
        let earn = async |n: i64| {
            let earned = store.transact(move |tx| {
                Box::pin(async move { tx.earn_points(MERCHANT, "new", &format!("e{n}"), 10, n).await })
            });
            assert!(earned.await.expect("points"), "{}", store.engine());
        };
        futures::future::join_all((0..8).map(earn)).await;
        let done = store.transact(|tx| {
            Box::pin(async move {
                tx.put_customer(MERCHANT, "rich", "{}", i64::MAX, 1).await?;
                tx.earn_points(MERCHANT, "rich", "e", 10, 2).await?;
                let rich = tx.customer(MERCHANT, "rich").await?.expect("a customer");
                assert_eq!((rich.points, rich.orders), (i64::MAX, 1));
                let new = tx.customer(MERCHANT, "new").await?.expect("a customer");
                assert_eq!((new.points, new.lifetime, new.orders), (80, 80, 8));
                for _ in 0..2 {
                    tx.add_customer_value(MERCHANT, "rich", "USD", i64::MAX, 1).await?;
                }
                let spent = tx.customer_value(MERCHANT, "rich").await?;
                assert_eq!((spent[0].spent, spent[0].orders), (i64::MAX, 2));
                Ok(())
            })
        });
        done.await.expect("nothing overflows");
    }
}
