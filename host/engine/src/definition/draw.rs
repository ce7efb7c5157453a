//! A definition as a Mermaid state diagram.

use std::fmt::Write as _;

use super::{AGAIN, File, Kind, MoneyMove};

pub(super) fn mermaid(file: &File) -> String {
    let mut out = String::from("stateDiagram-v2\n");
    let id = |name: &str| name.replace(['-', '.'], "_");
    let _ = writeln!(out, "    [*] --> {}", id(&file.initial));
    for (name, state) in &file.states {
        let mut label = name.clone();
        if let Some(step) = &state.invoke {
            label = format!("{name}<br/>{step}");
        }
        if let Some(money) = state.money {
            let word = match money {
                MoneyMove::Reserve => "reserves money",
                MoneyMove::Take => "takes money",
                MoneyMove::Ask => "asks",
                MoneyMove::GiveBack => "gives back",
            };
            label = format!("{label}<br/>({word})");
        }
        let _ = writeln!(out, "    {} : {label}", id(name));
        let mut arrow = |how: &str, to: &str| {
            let to = if to == AGAIN { name.as_str() } else { to };
            let _ = writeln!(out, "    {} --> {} : {}", id(name), id(to), how.replace(':', " "));
        };
        for (outcome, targets) in &state.outcomes {
            for target in targets.iter() {
                let when = target.when.map(|w| format!(" [{w}]")).unwrap_or_default();
                arrow(&format!("{outcome}{when}"), target.target);
            }
        }
        for (signal, targets) in &state.on {
            for target in targets.iter() {
                let when = target.when.map(|w| format!(" [{w}]")).unwrap_or_default();
                arrow(&format!("signal {signal}{when}"), target.target);
            }
        }
        for (delay, targets) in &state.after {
            for target in targets.iter() {
                arrow(&format!("after {delay}"), target.target);
            }
        }
        if let Some(then) = &state.then {
            arrow("undone", then);
        }
        if let Some(limit) = &state.limit {
            arrow(&format!("more than {} entries", limit.entries), &limit.then);
        }
        if let Some(fault) = &state.fault {
            arrow("fault", fault);
        }
        if state.kind == Some(Kind::Final) {
            let _ = writeln!(out, "    {} --> [*]", id(name));
        }
    }
    out
}
