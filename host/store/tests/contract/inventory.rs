//! Stock, its ledger, reservations and warehouses.

use std::collections::HashMap;
use std::sync::Arc;

use till_engine::ports::StoreError;
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use till_store::tables::inventory::{Because, Change, MovementFilter, StockFilter, UNITS_MAX};
use till_store::tables::reservation::ReservationRow;
use till_store::{Store, Tx};
use uuid::Uuid;

use super::{MERCHANT, SET, put, stores};

fn hold(id: String, sku: &str, place: &str, quantity: i64, uid: Uuid) -> NewHold {
    NewHold {
        id,
        kind: HoldKind::Stock,
        what: sku.to_owned(),
        place: place.to_owned(),
        quantity,
        limits: (None, None),
        uid,
        expires_us: 0,
    }
}

/// The next number of a row that looks random and is always the same.
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// One change of stock out of all there are; a refused one leaves nothing behind.
async fn change(tx: &mut Tx, seed: u64, at_us: i64) -> Result<(), StoreError> {
    let mut seed = seed;
    let sku = ["a", "b"][next(&mut seed, 2) as usize];
    let place = ["v", "w"][next(&mut seed, 2) as usize];
    // One in four comes again under an id that was used before.
    let id = format!("c{}", if next(&mut seed, 4) == 0 { at_us / 2 } else { at_us });
    let because = Because { at_us, ..SET };
    let units = i64::try_from(next(&mut seed, 12)).expect("small");
    let uid = Uuid::from_u128(1 + u128::from(next(&mut seed, 3)));
    match next(&mut seed, 5) {
        0 => drop(tx.move_stock(MERCHANT, &id, (sku, place), units + 1, &because).await?),
        1 => drop(tx.move_stock(MERCHANT, &id, (sku, place), -units - 1, &because).await?),
        2 => drop(tx.put_stock(MERCHANT, &id, (sku, place), units, &because).await?),
        3 => {
            if let Held::Short(_) =
                tx.hold(MERCHANT, &hold(format!("h{at_us}"), sku, place, units + 1, uid)).await?
            {
                return Err(StoreError::Conflict);
            }
        }
        _ => {
            let end = if units % 2 == 0 { End::Release } else { End::Commit(because) };
            tx.settle_holds(MERCHANT, uid, "", end, at_us).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_sums_up_to_what_is_there_whatever_happens() {
    for (store, _dir) in stores().await {
        let mut seed = 7;
        for at_us in 1..400_i64 {
            let this = next(&mut seed, u64::from(u32::MAX));
            let done = store.transact(move |tx| Box::pin(async move { change(tx, this, at_us).await })).await;
            assert!(matches!(done, Ok(()) | Err(StoreError::Conflict)), "{at_us}: {done:?}");
        }
        let mut tx = store.read().await.expect("read");
        assert_eq!(tx.ledger_gaps(MERCHANT).await.expect("a ledger"), [], "on {}", store.engine());
        let mut after: HashMap<(String, String), i64> = HashMap::new();
        let filter = MovementFilter::default();
        let mut rows = tx.movements(MERCHANT, &filter, (i64::MAX, ""), 1_000).await.expect("movements");
        rows.reverse();
        assert!(rows.len() > 100, "{} movements", rows.len());
        for row in rows {
            let sum = after.entry((row.sku.clone(), row.warehouse.clone())).or_default();
            *sum += row.delta;
            // Holds of one transaction have one time, and their ids say nothing of their order.
            assert!(*sum >= 0, "{row:?}");
            if row.reason == "set" && !row.id.starts_with('h') {
                assert_eq!(row.on_hand, *sum, "{row:?}");
            }
        }
        for sku in ["a", "b"] {
            for row in tx.stock(MERCHANT, sku).await.expect("stock") {
                assert!(row.held >= 0 && row.held <= row.on_hand, "{row:?}");
                assert_eq!(
                    after.get(&(row.sku.clone(), row.warehouse.clone())).copied().unwrap_or(0),
                    row.on_hand
                );
            }
        }
    }
}

#[tokio::test]
async fn a_change_of_stock_is_made_once_under_its_id_and_takes_no_promised_unit() {
    for (store, _dir) in stores().await {
        let made = store.transact(|tx| {
            Box::pin(async move {
                let at = ("sku", "w");
                let first = tx.move_stock(MERCHANT, "one", at, 5, &SET).await?;
                let again = tx.move_stock(MERCHANT, "one", at, 5, &SET).await?;
                tx.hold(MERCHANT, &hold("h".to_owned(), "sku", "w", 3, Uuid::nil())).await?;
                let mut refused = Vec::new();
                for delta in [-3, i64::MIN, UNITS_MAX, i64::MAX] {
                    refused.push(tx.move_stock(MERCHANT, "two", at, delta, &SET).await?);
                }
                refused.push(tx.put_stock(MERCHANT, "two", at, 2, &SET).await?);
                refused.push(tx.put_stock(MERCHANT, "two", at, UNITS_MAX + 1, &SET).await?);
                let nothing = tx.put_stock(MERCHANT, "two", at, 5, &SET).await?;
                let nowhere = tx.move_stock(MERCHANT, "three", ("sku", "x"), -1, &SET).await?;
                let (_, taken) = tx.settle_holds(MERCHANT, Uuid::nil(), "", End::Commit(SET), 0).await?;
                Ok((first, again, refused, nothing, nowhere, taken))
            })
        });
        let (first, again, refused, nothing, nowhere, taken) = made.await.expect("changes");
        let Change::Made(movement) = first else { panic!("{first:?}") };
        assert_eq!((movement.delta, movement.on_hand), (5, 5));
        assert!(matches!(&again, Change::Known(known) if *known == movement), "{again:?}");
        assert_eq!(refused, vec![Change::Refused { free: 2 }; 6], "on {}", store.engine());
        assert_eq!((nothing, nowhere), (Change::Nothing, Change::Refused { free: 0 }));
        assert_eq!(
            taken.iter().map(|m| (m.id.as_str(), m.delta, m.on_hand)).collect::<Vec<_>>(),
            [("h", -3, 2)]
        );
        let mut tx = store.read().await.expect("read");
        assert_eq!(tx.stock(MERCHANT, "sku").await.expect("stock").len(), 1, "nothing is where nothing came");
        assert_eq!(tx.ledger_gaps(MERCHANT).await.expect("a ledger"), []);
    }
}

async fn take_one(store: &Store, n: u128) -> bool {
    let uid = Uuid::from_u128(n + 1);
    let taken = store
        .transact(move |tx| {
            Box::pin(async move {
                if n.is_multiple_of(2) {
                    let change = tx.move_stock(MERCHANT, &format!("m{n}"), ("sku", "w"), -1, &SET).await?;
                    return Ok(matches!(change, Change::Made(_)));
                }
                match tx.hold(MERCHANT, &hold(format!("h{n}"), "sku", "w", 1, uid)).await? {
                    Held::Yes => Ok(true),
                    Held::Short(_) => Err(StoreError::Conflict),
                }
            })
        })
        .await;
    match taken {
        Ok(taken) if n % 2 == 1 => {
            let settle = store.transact(move |tx| {
                Box::pin(async move { tx.settle_holds(MERCHANT, uid, "", End::Commit(SET), 0).await })
            });
            assert_eq!(settle.await.expect("it settles").0, 1);
            taken
        }
        Ok(taken) => taken,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_and_clerks_race_for_the_last_units_and_nobody_gets_one_that_is_not_there() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        store.transact(|tx| Box::pin(async move { put(tx, "sku", 10).await })).await.expect("stock");
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { take_one(&store, n).await })
            })
            .collect();
        let mut taken = 0;
        for task in tasks {
            taken += i64::from(task.await.expect("no panic"));
        }
        let mut tx = store.read().await.expect("read");
        let rows = tx.stock(MERCHANT, "sku").await.expect("stock");
        assert_eq!((taken, rows[0].on_hand, rows[0].held), (10, 0, 0), "on {}", store.engine());
        assert_eq!(tx.ledger_gaps(MERCHANT).await.expect("a ledger"), []);
    }
}

#[tokio::test]
async fn a_reservation_ends_once_and_is_due_when_its_time_has_run_out() {
    for (store, _dir) in stores().await {
        let row = |id: &str, expires_us| ReservationRow {
            id: id.to_owned(),
            uid: Uuid::now_v7(),
            reference: "till 4".to_owned(),
            state: "held".to_owned(),
            who: "clerk".to_owned(),
            created_us: 1,
            expires_us,
            ended_us: None,
        };
        let (one, two) = (row("one", 10), row("two", 20));
        let known = one.clone();
        let answers = store.transact(move |tx| {
            let (one, two) = (one.clone(), two.clone());
            Box::pin(async move {
                put(tx, "sku", 9).await?;
                tx.insert_reservation(MERCHANT, &one).await?;
                tx.insert_reservation(MERCHANT, &two).await?;
                tx.hold(MERCHANT, &hold("one:1".to_owned(), "sku", "w", 2, one.uid)).await?;
                let early = tx.due_reservations(9, 10).await?;
                let due = tx.due_reservations(10, 10).await?;
                let ended = tx.end_reservation(MERCHANT, "one", "expired", 12).await?;
                let again = tx.end_reservation(MERCHANT, "one", "confirmed", 13).await?;
                Ok((early, due, ended, again, tx.due_reservations(10, 10).await?))
            })
        });
        let (early, due, ended, again, after) = answers.await.expect("reservations");
        assert_eq!((early, after), (vec![], vec![]));
        assert_eq!(due, [(MERCHANT.to_owned(), "one".to_owned())]);
        assert_eq!((ended, again), (true, false));
        let mut tx = store.read().await.expect("read");
        let found = tx.reservation(MERCHANT, "one").await.expect("read").expect("it is there");
        assert_eq!((found.state.as_str(), found.ended_us, found.uid), ("expired", Some(12), known.uid));
        let items = tx.reserved(MERCHANT, known.uid).await.expect("items");
        assert_eq!(items.iter().map(|i| (i.sku.as_str(), i.quantity)).collect::<Vec<_>>(), [("sku", 2)]);
        assert_eq!(tx.reservation("other", "one").await.expect("read"), None);
    }
}

#[tokio::test]
async fn thresholds_and_closed_warehouses_are_known_where_stock_is_read() {
    for (store, _dir) in stores().await {
        let done = store.transact(|tx| {
            Box::pin(async move {
                tx.put_threshold(MERCHANT, "sku", Some(3)).await?;
                for (n, place) in ["v", "w", "x"].into_iter().enumerate() {
                    let units = i64::try_from(n).expect("small") * 3 + 1;
                    tx.move_stock(MERCHANT, place, ("sku", place), units, &SET).await?;
                }
                tx.move_stock(MERCHANT, "other", ("other", "w"), 5, &SET).await?;
                tx.put_warehouse(MERCHANT, "w", false, "{}", 0).await?;
                tx.put_warehouse(MERCHANT, "empty", true, "{}", 0).await?;
                let gone = tx.delete_warehouse(MERCHANT, "empty").await?;
                Ok((gone, tx.delete_warehouse(MERCHANT, "w").await?, tx.count_warehouses(MERCHANT).await?))
            })
        });
        assert_eq!(done.await.expect("set up"), (true, false, 1), "one with units stays");
        let mut tx = store.read().await.expect("read");
        let places = |rows: Vec<till_store::tables::inventory::StockRow>| {
            rows.into_iter().map(|row| format!("{}{}", row.sku, row.warehouse)).collect::<Vec<_>>()
        };
        let open = tx.open_stock(MERCHANT, "sku").await.expect("stock");
        assert!(open.iter().all(|row| row.low_at == Some(3)), "in warehouses that came later too");
        assert_eq!(places(open), ["skuv", "skux"]);
        for (filter, after, found) in [
            (StockFilter::default(), ("", ""), vec!["otherw", "skuv"]),
            (StockFilter::default(), ("sku", "v"), vec!["skuw", "skux"]),
            (StockFilter { low: Some(5), ..StockFilter::default() }, ("", ""), vec!["otherw", "skuv"]),
            (StockFilter { low: Some(4), ..StockFilter::default() }, ("", ""), vec!["skuv"]),
            (
                StockFilter { warehouse: "w".to_owned(), ..StockFilter::default() },
                ("", ""),
                vec!["otherw", "skuw"],
            ),
            (StockFilter { sku: "other".to_owned(), ..StockFilter::default() }, ("", ""), vec!["otherw"]),
        ] {
            let rows = tx.list_stock(MERCHANT, &filter, after, 2).await.expect("stock");
            assert_eq!(places(rows), found, "{filter:?} on {}", store.engine());
        }
        let filter = MovementFilter { sku: "sku".to_owned(), ..MovementFilter::default() };
        let page = tx.movements(MERCHANT, &filter, (0, "x"), 5).await.expect("movements");
        assert_eq!(page.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["w", "v"]);
    }
}
