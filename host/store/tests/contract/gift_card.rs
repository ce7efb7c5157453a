//! Gift cards: their balance is the sum of their ledger, and never below zero.

use std::sync::Arc;

use till_engine::ports::StoreError;
use till_store::Tx;
use till_store::tables::gift_card::{CardChange, GiftCardRow};
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use uuid::Uuid;

use super::{MERCHANT, SET, stores};

fn row(id: &str, balance: i64) -> GiftCardRow {
    GiftCardRow {
        id: id.to_owned(),
        code: format!("hash of {id}"),
        last4: "2345".to_owned(),
        currency: "USD".to_owned(),
        balance,
        held: 0,
        status: "active".to_owned(),
        expires_us: None,
        note: String::new(),
        who: "tests".to_owned(),
        created_us: 1,
    }
}

fn hold(id: String, quantity: i64, uid: Uuid) -> NewHold {
    NewHold {
        id,
        kind: HoldKind::GiftCard,
        what: "card".to_owned(),
        place: String::new(),
        quantity,
        limits: (None, None),
        uid,
        expires_us: 0,
    }
}

fn change(id: &str, delta: i64) -> CardChange<'_> {
    CardChange {
        id,
        card: "card",
        delta,
        reason: "adjusted",
        reference: "",
        note: "",
        who: "tests",
        at_us: 1,
    }
}

async fn issue(tx: &mut Tx, balance: i64) -> Result<(), StoreError> {
    tx.issue_gift_card(MERCHANT, &row("card", balance)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checkouts_race_for_a_card_and_it_pays_what_it_has() {
    for (store, _dir) in stores().await {
        store.transact(|tx| Box::pin(issue(tx, 1_000))).await.expect("a card");
        let store = Arc::new(store);
        let racers: Vec<_> = (0..8_u128)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let uid = Uuid::from_u128(n + 1);
                    let held = store
                        .transact(move |tx| {
                            Box::pin(async move {
                                match tx.hold(MERCHANT, &hold(format!("h{n}"), 300, uid)).await? {
                                    Held::Yes => Ok(()),
                                    Held::Short(_) => Err(StoreError::Conflict),
                                }
                            })
                        })
                        .await;
                    if held.is_err() {
                        return 0;
                    }
                    let end = if n % 2 == 0 { End::Commit(SET) } else { End::Release };
                    let ended = store.transact(move |tx| {
                        Box::pin(async move { tx.settle_holds(MERCHANT, uid, "", end, 2).await })
                    });
                    assert_eq!(ended.await.expect("it ends").0, 1);
                    if n % 2 == 0 { 300 } else { 0 }
                })
            })
            .collect();
        let mut paid = 0;
        for racer in racers {
            paid += racer.await.expect("no panic");
        }
        let mut tx = store.read().await.expect("read");
        let card = tx.gift_card(MERCHANT, "card").await.expect("read").expect("the card");
        assert_eq!((card.balance, card.held), (1_000 - paid, 0), "on {}", store.engine());
        assert_eq!(tx.gift_card_gaps(MERCHANT).await.expect("a ledger"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_changes_once_by_id_and_never_below_what_is_held() {
    for (store, _dir) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    issue(tx, 500).await?;
                    let uid = Uuid::from_u128(1);
                    assert_eq!(tx.hold(MERCHANT, &hold("h".to_owned(), 300, uid)).await?, Held::Yes);
                    assert_eq!(tx.hold(MERCHANT, &hold("h".to_owned(), 300, uid)).await?, Held::Yes, "once");
                    assert!(tx.change_gift_card(MERCHANT, &change("a", -201)).await?.is_none());
                    let made = tx.change_gift_card(MERCHANT, &change("b", -200)).await?.expect("it is free");
                    assert_eq!(made.balance, 300);
                    assert_eq!(tx.change_gift_card(MERCHANT, &change("b", -200)).await?, Some(made));
                    assert!(!tx.void_gift_card(MERCHANT, "card").await?, "something is left");
                    tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 2).await?;
                    assert_eq!(tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 3).await?.0, 0);
                    assert!(tx.void_gift_card(MERCHANT, "card").await?);
                    assert!(tx.change_gift_card(MERCHANT, &change("c", 5)).await?.is_none(), "it is void");
                    Ok(())
                })
            })
            .await
            .expect("all of it");
        // A refused hold leaves its row to be rolled back.
        let refused = store.transact(|tx| {
            Box::pin(async move {
                let uid = Uuid::from_u128(2);
                assert_eq!(tx.hold(MERCHANT, &hold("i".to_owned(), 1, uid)).await?, Held::Short(0));
                Err::<(), _>(StoreError::Conflict)
            })
        });
        assert!(refused.await.is_err());
        let mut tx = store.read().await.expect("read");
        assert_eq!(tx.gift_card_gaps(MERCHANT).await.expect("a ledger"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_a_card_sums_up_whatever_happens() {
    for (store, _dir) in stores().await {
        store.transact(|tx| Box::pin(issue(tx, 2_000))).await.expect("a card");
        let mut seed = 11_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for at in 0..300 {
            let (kind, amount, who) = (next(4), next(400) as i64 + 1, u128::from(next(3)));
            let done = store
                .transact(move |tx| {
                    Box::pin(async move {
                        let (id, uid) = (format!("x{at}"), Uuid::from_u128(who + 1));
                        match kind {
                            0 => drop(tx.change_gift_card(MERCHANT, &change(&id, amount)).await?),
                            1 => drop(tx.change_gift_card(MERCHANT, &change(&id, -amount)).await?),
                            2 => {
                                if let Held::Short(_) = tx.hold(MERCHANT, &hold(id, amount, uid)).await? {
                                    return Err(StoreError::Conflict);
                                }
                            }
                            _ => {
                                let end = if amount % 2 == 0 { End::Release } else { End::Commit(SET) };
                                tx.settle_holds(MERCHANT, uid, "", end, at).await?;
                            }
                        }
                        Ok(())
                    })
                })
                .await;
            assert!(matches!(done, Ok(()) | Err(StoreError::Conflict)), "{at}: {done:?}");
        }
        let mut tx = store.read().await.expect("read");
        assert_eq!(tx.gift_card_gaps(MERCHANT).await.expect("a ledger"), Vec::<String>::new());
        let card = tx.gift_card(MERCHANT, "card").await.expect("read").expect("the card");
        let held = tx.held_sums(MERCHANT).await.expect("holds").iter().map(|row| row.3).sum::<i64>();
        assert_eq!(card.held, held, "on {}", store.engine());
        let entries = tx.gift_card_entries(MERCHANT, "card", (i64::MAX, ""), 1_000).await.expect("entries");
        assert!(entries.len() > 50 && entries.iter().all(|entry| entry.balance >= 0));
    }
}
