//! What every component of a slot must do, whoever wrote it: suites that come with Till and run on a binary.
//!
//! Inputs are made up and always the same. A suite knows no provider and no merchant: it takes the words of
//! the configuration (codes, SKUs, countries, addresses, names of secrets) and tries them, so that a
//! configuration of the component's author reaches most of it. The rules are those that the host checks in
//! every answer; a component that passes here can still be wrong, but it does not break its promises on
//! these inputs.

mod carrier;
mod gateway;
mod inputs;
mod pricing;
mod promotion;
mod pure;
mod risk;
mod shipping;
mod tax;

use crate::Fixture;
use crate::run::name_of;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use till_sandbox::wit::types::{CallContext, ComponentError, ErrorDetail};
use till_sandbox::{Binding, Call, Component, Failure, Limits, Sandbox, Slot, Table};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The promise is kept.
    Passed,
    /// The promise is broken.
    Failed,
    /// Allowed, but shoppers or merchants will wonder.
    Warning,
    /// It could not be tried.
    Skipped,
}

/// One promise, and whether it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, lowercase with hyphens.
    pub name: String,
    /// How it went.
    pub status: Status,
    /// What was seen and what to do.
    pub detail: String,
}

/// What a suite found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conformance {
    /// Whose suite it is.
    pub slot: Slot,
    /// In the order in which they ran.
    pub checks: Vec<Check>,
}

impl Conformance {
    /// No promise is broken.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.status != Status::Failed)
    }

    /// The check of a name.
    pub fn get(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

/// Runs the suite of the component's slot with a configuration, which is JSON as the host hands it in.
pub async fn conformance(sandbox: &Sandbox, component: &Arc<Component>, config: &str) -> Conformance {
    with_fixtures(sandbox, component, config, &[]).await
}

/// Like [`conformance`], with the tables that the component will look things up in.
pub async fn with_tables(
    sandbox: &Sandbox,
    component: &Arc<Component>,
    config: &str,
    tables: &HashMap<String, Arc<Table>>,
) -> Conformance {
    run(sandbox, component, config, tables, &[]).await
}

/// Like [`conformance`]; webhooks that fixtures show as genuine are also tried with changes.
pub async fn with_fixtures(
    sandbox: &Sandbox,
    component: &Arc<Component>,
    config: &str,
    fixtures: &[Fixture],
) -> Conformance {
    run(sandbox, component, config, &HashMap::new(), fixtures).await
}

async fn run(
    sandbox: &Sandbox,
    component: &Arc<Component>,
    config: &str,
    tables: &HashMap<String, Arc<Table>>,
    fixtures: &[Fixture],
) -> Conformance {
    let binding = Arc::new(Binding { tables: tables.clone(), ..Binding::default() });
    let mut suite = Suite { sandbox, component, config, binding, checks: Vec::new() };
    if !suite.config() {
        let detail = "a host never calls it with such a configuration, so nothing else was tried";
        suite.say("suite", Status::Skipped, detail);
        return Conformance { slot: component.slot, checks: suite.checks };
    }
    match component.slot {
        Slot::Pricing => pricing::run(&mut suite).await,
        Slot::Promotion => promotion::run(&mut suite).await,
        Slot::Tax => tax::run(&mut suite).await,
        Slot::Shipping => shipping::run(&mut suite).await,
        Slot::PaymentGateway => gateway::run(&mut suite, fixtures).await,
        Slot::Risk => risk::run(&mut suite).await,
        Slot::Carrier => carrier::run(&mut suite).await,
    }
    Conformance { slot: component.slot, checks: suite.checks }
}

/// Configurations that are probably not the component's.
const WRONG_CONFIGS: [&str; 6] =
    ["{}", "[]", "null", "\"x\"", "{\"till-conformance\":true}", "{\"a\":{\"b\":[-1,\"\"]}}"];

/// A suite that is running.
struct Suite<'a> {
    sandbox: &'a Sandbox,
    component: &'a Arc<Component>,
    config: &'a str,
    binding: Arc<Binding>,
    checks: Vec<Check>,
}

impl Suite<'_> {
    fn say(&mut self, name: &str, status: Status, detail: impl Into<String>) {
        self.checks.push(Check { name: name.to_owned(), status, detail: detail.into() });
    }

    /// Passed where nothing is wrong; else failed with the first thing that is and how many there are.
    fn judge(&mut self, name: &str, wrong: &[String], fine: impl Into<String>) {
        match wrong {
            [] => self.say(name, Status::Passed, fine),
            [one] => self.say(name, Status::Failed, one.clone()),
            [first, more @ ..] => {
                self.say(name, Status::Failed, format!("{first} (and {} more like it)", more.len()));
            }
        }
    }

    /// Whether the configuration is one that a host would take.
    fn config(&mut self) -> bool {
        let fits = check_config(&self.component.info.config_schema, self.config);
        let taken = fits.is_ok();
        match fits {
            Ok(()) => self.say("config", Status::Passed, "it matches the component's schema"),
            Err(why) => {
                let detail = format!("{why}; hand in a configuration with --config-file");
                self.say("config", Status::Failed, detail);
            }
        }
        taken
    }

    /// The wrong configurations that the component's own schema lets through.
    fn wrong_configs(&self) -> impl Iterator<Item = &'static str> {
        let schema = self.component.info.config_schema.clone();
        WRONG_CONFIGS.into_iter().filter(move |config| check_config(&schema, config).is_ok())
    }

    fn call(&self, currency: (&str, u8), config: &str) -> Call {
        Call {
            component: self.component.clone(),
            ctx: CallContext {
                merchant: "conformance".to_owned(),
                channel: "web".to_owned(),
                locale: "en-US".to_owned(),
                currency: currency.0.to_owned(),
                exponent: currency.1,
                now_ms: inputs::NOW_MS,
                instance: String::new(),
                step: "conformance".to_owned(),
                entry: 1,
                attempt: 1,
                test_mode: true,
                config: config.to_owned(),
                attributes: Vec::new(),
            },
            binding: self.binding.clone(),
            limits: Limits::default(),
            // A host runs the suite at a push: shoppers go first.
            background: true,
            breaker: None,
        }
    }
}

/// Whether a configuration is JSON and matches a schema.
pub(crate) fn check_config(schema: &str, config: &str) -> Result<(), String> {
    let config: serde_json::Value =
        serde_json::from_str(config).map_err(|error| format!("the configuration is not JSON: {error}"))?;
    let validator = validator(schema)?;
    let wrong: Vec<String> = validator
        .iter_errors(&config)
        .take(3)
        .map(|error| format!("`${}`: {error}", error.instance_path()))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("the configuration does not match the component's schema: {}", wrong.join("; ")))
}

/// The checks that a schema stands for.
pub(crate) fn validator(schema: &str) -> Result<jsonschema::Validator, String> {
    let schema = serde_json::from_str(schema).map_err(|error| format!("the schema is not JSON: {error}"))?;
    jsonschema::validator_for(&schema).map_err(|error| format!("the schema is no JSON Schema: {error}"))
}

/// A failure as the end of a sentence.
fn crashed(what: &str, failure: &Failure) -> String {
    let said = failure.to_string().replace('\n', " ");
    format!("{what}: {said} [{}]; answer with a component-error instead", name_of(failure))
}

fn detail(error: &ComponentError) -> &ErrorDetail {
    let (ComponentError::InvalidConfig(detail)
    | ComponentError::InvalidInput(detail)
    | ComponentError::Unavailable(detail)
    | ComponentError::Internal(detail)) = error;
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_held_against_the_schema() {
        let schema = r#"{"type": "object", "required": ["ppm"], "properties": {"ppm": {"type": "integer"}}}"#;
        assert_eq!(check_config(schema, r#"{"ppm": 1}"#), Ok(()));
        assert!(check_config(schema, "{}").unwrap_err().contains("\"ppm\" is a required property"));
        assert!(check_config(schema, "{").unwrap_err().contains("not JSON"));
        assert!(check_config(r#"{"type": 3}"#, "{}").unwrap_err().contains("no JSON Schema"));
    }
}
