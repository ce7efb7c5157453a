//! Campaigns and codes that work a set number of times: raced for, held, committed, given back.

use std::sync::Arc;

use till_engine::ports::StoreError;
use till_store::tables::campaign::{CampaignRow, PromotionCodeRow};
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use uuid::Uuid;

use super::{MERCHANT, SET, stores};

fn campaign(budget: i64) -> CampaignRow {
    CampaignRow {
        id: "c".to_owned(),
        name: "C".to_owned(),
        active: true,
        starts_us: None,
        ends_us: None,
        currency: "USD".to_owned(),
        budget: Some(budget),
        orders_max: None,
        promotions: r#"["p"]"#.to_owned(),
        spent: 0,
        held: 0,
        orders: 0,
        orders_held: 0,
    }
}

fn hold(kind: HoldKind, what: &str, n: u128, quantity: i64) -> NewHold {
    NewHold {
        id: format!("{}:{n}", kind.as_str()),
        kind,
        what: what.to_owned(),
        place: String::new(),
        quantity,
        limits: (None, None),
        uid: Uuid::from_u128(n + 1),
        expires_us: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkouts_race_for_a_budget_and_a_code_and_neither_gives_more_than_it_has() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    tx.put_campaign(MERCHANT, &campaign(1_000)).await?;
                    let row = PromotionCodeRow {
                        code: "ONCE".to_owned(),
                        promotion: "p".to_owned(),
                        stands_for: "Own".to_owned(),
                        uses: 2,
                        used: 0,
                        batch: "b".to_owned(),
                    };
                    assert!(tx.put_promotion_code(MERCHANT, &row).await?);
                    assert!(!tx.put_promotion_code(MERCHANT, &row).await?, "a code is one code");
                    Ok(())
                })
            })
            .await
            .expect("a campaign and a code");
        let store = Arc::new(store);
        let racers: Vec<_> = (0..10_u128)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let held = store.transact(move |tx| {
                        Box::pin(async move {
                            for hold in
                                [hold(HoldKind::Budget, "c", n, 300), hold(HoldKind::Code, "ONCE", n, 1)]
                            {
                                if let Held::Short(_) = tx.hold(MERCHANT, &hold).await? {
                                    return Err(StoreError::Conflict);
                                }
                            }
                            Ok(())
                        })
                    });
                    if held.await.is_err() {
                        return false;
                    }
                    let end = store.transact(move |tx| {
                        let uid = Uuid::from_u128(n + 1);
                        Box::pin(async move { tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 2).await })
                    });
                    assert_eq!(end.await.expect("it ends").0, 2);
                    true
                })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            won += i64::from(racer.await.expect("no panic"));
        }
        let mut tx = store.read().await.expect("read");
        let row = tx.campaign(MERCHANT, "c").await.expect("read").expect("the campaign");
        assert!((1..=2).contains(&won), "{won} on {}", store.engine());
        assert_eq!((row.spent, row.held, row.orders, row.orders_held), (300 * won, 0, won, 0));
        let code = tx.promotion_code(MERCHANT, "ONCE").await.expect("read").expect("the code");
        assert_eq!(code.used, won);
        assert!(tx.is_stood_for(MERCHANT, "oWN").await.expect("read"));
        assert!(!tx.is_stood_for(MERCHANT, "ONCE").await.expect("read"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_campaign_promised_comes_back_and_its_words_can_change() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    let limited = CampaignRow { orders_max: Some(1), ..campaign(1_000) };
                    tx.put_campaign(MERCHANT, &limited).await?;
                    assert_eq!(tx.hold(MERCHANT, &hold(HoldKind::Budget, "c", 1, 700)).await?, Held::Yes);
                    assert!(!tx.delete_campaign(MERCHANT, "c").await?, "a checkout holds of it");
                    let uid = Uuid::from_u128(2);
                    assert_eq!(tx.settle_holds(MERCHANT, uid, "", End::Release, 2).await?.0, 1);
                    assert_eq!(tx.hold(MERCHANT, &hold(HoldKind::Budget, "c", 5, 1_000)).await?, Held::Yes);
                    let uid = Uuid::from_u128(6);
                    assert_eq!(tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 2).await?.0, 1);
                    tx.put_campaign(MERCHANT, &CampaignRow { name: "D".to_owned(), ..campaign(2_000) })
                        .await?;
                    let row = tx.campaign(MERCHANT, "c").await?.expect("the campaign");
                    assert_eq!((row.name.as_str(), row.spent, row.budget), ("D", 1_000, Some(2_000)));
                    assert!(tx.delete_campaign(MERCHANT, "c").await?);
                    Ok(())
                })
            })
            .await
            .expect("all of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_told_by_promotion_in_all_and_by_one_customer() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    for (n, who) in [(1, "ann"), (2, "ann"), (3, "bob")] {
                        let one = NewHold { place: who.to_owned(), ..hold(HoldKind::Promotion, "p", n, 1) };
                        assert_eq!(tx.hold(MERCHANT, &one).await?, Held::Yes);
                    }
                    assert_eq!(tx.all_uses(MERCHANT, "ann", 9).await?, [("p".to_owned(), 3, 2)]);
                    assert_eq!(tx.all_uses(MERCHANT, "cleo", 9).await?, [("p".to_owned(), 3, 0)]);
                    Ok(())
                })
            })
            .await
            .expect("all of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_codes_asked_for_at_the_same_time_are_made_once() {
    for (store, _dir) in stores().await {
        let make = async || {
            let made = store.transact(|tx| {
                Box::pin(async move {
                    tx.hold_promotions(MERCHANT).await?;
                    let mut left = 5 - tx.count_promotion_codes(MERCHANT, "batch").await?;
                    while left > 0 {
                        let row = PromotionCodeRow {
                            code: Uuid::now_v7().simple().to_string(),
                            promotion: "p".to_owned(),
                            stands_for: "Own".to_owned(),
                            uses: 1,
                            used: 0,
                            batch: "batch".to_owned(),
                        };
                        left -= i64::from(tx.put_promotion_code(MERCHANT, &row).await?);
                    }
                    Ok(())
                })
            });
            made.await.expect("codes");
        };
        futures::future::join_all((0..8).map(|_| make())).await;
        let mut tx = store.read().await.expect("a reader");
        assert_eq!(
            tx.count_promotion_codes(MERCHANT, "batch").await.expect("a count"),
            5,
            "{}",
            store.engine()
        );
    }
}
