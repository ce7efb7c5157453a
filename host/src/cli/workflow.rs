//! `till workflow`: check, draw and simulate files without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use till_commerce::checkout::steps::interface;
use till_engine::decide::{self, Log, Next, Verdict};
use till_engine::definition::{Class, Definition, Sender, check};
use till_engine::instance::{Control, Instance, Status};
use till_engine::step::{StepResult, TookEffect};
use uuid::Uuid;

/// Commands on workflow files.
#[derive(Subcommand)]
pub enum WorkflowCommand {
    /// Check a file; every finding has a line, a code and the way out.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw a file as a Mermaid state diagram.
    Draw {
        /// The file.
        file: PathBuf,
    },
    /// Walk through a file with chosen outcomes and print path, commits and money.
    Simulate {
        /// The file.
        file: PathBuf,
        /// Outcomes by state, in order of entries: `authorize=unknown,find-out=captured`.
        #[arg(long, value_delimiter = ',')]
        choose: Vec<String>,
        /// Signals by state: `editable=submit`. A waiting state without one lets its first timer fire.
        #[arg(long, value_delimiter = ',')]
        signal: Vec<String>,
    },
    /// Print the JSON Schema of workflow files.
    Schema,
}

/// Runs a command on workflow files.
pub fn run(command: WorkflowCommand) -> anyhow::Result<ExitCode> {
    match command {
        WorkflowCommand::Check { files, json } => {
            let mut bad = 0;
            for file in files {
                let findings = match parse(&file)? {
                    Ok(definition) => check(&definition, &interface),
                    Err(findings) => findings,
                };
                bad += findings.len();
                if json {
                    println!("{}", json!({ "file": file, "findings": findings }));
                } else if findings.is_empty() {
                    println!("{}: sound", file.display());
                } else {
                    for finding in &findings {
                        println!("{}:{}: {}: {}", file.display(), finding.line, finding.code, finding.text);
                    }
                }
            }
            Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        WorkflowCommand::Draw { file } => {
            print!("{}", sound(&file)?.draw());
            Ok(ExitCode::SUCCESS)
        }
        WorkflowCommand::Simulate { file, choose, signal } => simulate(&sound(&file)?, &choose, &signal),
        WorkflowCommand::Schema => {
            println!("{}", serde_json::to_string_pretty(&Definition::json_schema())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

type Parsed = Result<Definition, Vec<till_engine::definition::Finding>>;

fn parse(file: &Path) -> anyhow::Result<Parsed> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Definition::parse(&text))
}

fn sound(file: &Path) -> anyhow::Result<Definition> {
    match parse(file)? {
        Ok(definition) => Ok(definition),
        Err(findings) => {
            for finding in &findings {
                eprintln!("{}:{}: {}: {}", file.display(), finding.line, finding.code, finding.text);
            }
            bail!("{} does not parse", file.display())
        }
    }
}

/// `state=a`, `state=b` becomes `state -> [a, b]`.
fn choices(pairs: &[String]) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in pairs {
        let (state, choice) =
            pair.split_once('=').with_context(|| format!("write `{pair}` as state=choice"))?;
        all.entry(state.to_owned()).or_default().insert(0, choice.to_owned());
    }
    Ok(all)
}

/// Turns of a simulation before it is called endless.
const TURNS_MAX: usize = 500;

fn simulate(definition: &Definition, choose: &[String], signals: &[String]) -> anyhow::Result<ExitCode> {
    let (mut choose, mut signals) = (choices(choose)?, choices(signals)?);
    let mut now_us = 0;
    let mut instance = Instance {
        merchant: "demo".to_owned(),
        uid: Uuid::nil(),
        workflow: definition.file.id.clone(),
        id: "simulated".to_owned(),
        start_hash: String::new(),
        subject: String::new(),
        definition: definition.digest.clone(),
        pins: json!({}),
        state: String::new(),
        status: Status::Running,
        version: 0,
        context: Arc::new(json!({ "inputs": {} })),
        control: Control::default(),
        created_us: 0,
        updated_us: 0,
    };
    let mut log = Log::default();
    decide::start(definition, &mut instance, now_us, &mut log);
    let class_of = |step: &str| interface(step).map(|i| i.class);
    let mut commits = 0;
    for _ in 0..TURNS_MAX {
        let state = instance.state.clone();
        match decide::next(definition, &instance, now_us, &class_of) {
            Next::Run { step, class, undoing } => {
                let Some(face) = interface(&step) else { bail!("no step is called `{step}`") };
                if class == Class::External {
                    decide::intent(definition, &mut instance, &step, undoing, now_us, &mut log);
                    commits += 1;
                    println!("{:>10}  {state:<14} commit {commits}: intent to {step}", seconds(now_us));
                }
                let chosen = choose.get_mut(&state).and_then(Vec::pop);
                let outcome = chosen.unwrap_or_else(|| face.outcomes.first().cloned().unwrap_or_default());
                if !face.outcomes.contains(&outcome) {
                    bail!("`{step}` has no outcome `{outcome}`; it has {}", face.outcomes.join(", "));
                }
                let effect = match outcome.as_str() {
                    "unknown" => TookEffect::Unknown,
                    "declined" | "short" | "never_happened" | "changed" | "incomplete" => TookEffect::No,
                    _ => TookEffect::Yes,
                };
                println!(
                    "{:>10}  {state:<14} {step} -> {outcome}{}",
                    seconds(now_us),
                    if undoing { " (undo)" } else { "" }
                );
                let result = StepResult::outcome(&outcome).effect(effect);
                if undoing {
                    decide::compensated(&mut instance, &result, now_us, &mut log);
                } else {
                    decide::step_done(definition, &mut instance, class, &result, now_us, &mut log);
                }
            }
            Next::Undone => decide::undone(definition, &mut instance, now_us, &mut log),
            Next::Lost => decide::lost(definition, &mut instance, now_us, &mut log),
            Next::Wait(until) => {
                commits += 1;
                println!("{:>10}  {state:<14} commit {commits}: waits", seconds(now_us));
                let signal = signals.get_mut(&state).and_then(Vec::pop);
                if let Some(name) = signal {
                    let from = definition.file.signals.get(&name).map_or(Sender::System, |r| r.from);
                    match decide::signal(definition, &mut instance, &name, from, &json!({}), now_us, &mut log)
                    {
                        Verdict::Taken => println!("{:>10}  {state:<14} signal {name}", seconds(now_us)),
                        other => bail!("`{name}` in `{state}`: {other:?}"),
                    }
                } else if until >= till_engine::instance::NEVER_US {
                    println!(
                        "{:>10}  {state:<14} waits for a signal; choose one with --signal {state}=NAME",
                        seconds(now_us)
                    );
                    return Ok(ExitCode::SUCCESS);
                } else {
                    now_us = until;
                    decide::timer(definition, &mut instance, now_us, &mut log);
                }
            }
            Next::Ended | Next::Parked => {
                commits += 1;
                let word = if instance.status == Status::Parked { "parked" } else { "ends" };
                println!("{:>10}  {state:<14} commit {commits}: {word}", seconds(now_us));
                let standing: Vec<_> = instance.control.undo.iter().map(|u| u.state.as_str()).collect();
                let text = if standing.is_empty() { "nothing".to_owned() } else { standing.join(", ") };
                println!("{:>10}  effects in force: {text}", "");
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    bail!("no end after {TURNS_MAX} turns")
}

fn seconds(us: i64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us % 1_000_000 / 1_000)
}
