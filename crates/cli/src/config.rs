//! `bergulir config`: what a server would run with, and what is wrong with it.

mod args;
mod check;

use bergulir_server::PrincipalLimits;
use bergulir_server::config::{Loaded, Origin, PRINCIPALS, Problem, SETTINGS, Setting, Shape};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

pub(crate) use args::SettingArgs;

use crate::failure::Failure;
use crate::output::{self, Page};

/// Check and show the configuration of a server
///
/// Takes the flags, environment and configuration file that `bergulir serve` takes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say all that is wrong: also files that are not there or cannot be read, and addresses that would
    /// be refused. Exit code 0: nothing; 1: something
    ///
    /// Example:
    ///   bergulir config check --config /etc/bergulir/bergulir.toml
    #[command(verbatim_doc_comment)]
    Check(SettingArgs),
    /// Show every setting as it holds, and where it comes from
    ///
    /// Of keys only the folder is shown, never what is in it.
    #[command(verbatim_doc_comment)]
    Show(SettingArgs),
}

pub(crate) fn run(args: ConfigArgs, json: bool) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Check(settings) => {
            let mut loaded = settings.load()?;
            check::disk(&mut loaded);
            report(&loaded, json)
        }
        ConfigCommand::Show(settings) => show(&settings.load()?, json),
    }
}

fn report(loaded: &Loaded, json: bool) -> Result<(), Failure> {
    let Loaded { problems, warnings, .. } = loaded;
    if json {
        let list = |list: &[Problem]| list.iter().map(problem_json).collect::<Value>();
        let valid = problems.is_empty();
        output::line(
            json!({"valid": valid, "problems": list(problems), "warnings": list(warnings)}),
        )?;
    } else {
        let mut page = Page::default();
        for problem in problems {
            page.line(format_args!("wrong: {problem}"));
        }
        for warning in warnings {
            page.line(format_args!("warning: {warning}"));
        }
        match problems.len() {
            0 => page.line("the configuration is good"),
            1 => page.line("one thing is wrong"),
            many => page.line(format_args!("{many} things are wrong")),
        }
        page.print()?;
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid) }
}

fn problem_json(problem: &Problem) -> Value {
    json!({"from": problem.origin.as_ref().map(origin_json), "message": problem.why})
}

fn show(loaded: &Loaded, json: bool) -> Result<(), Failure> {
    if json {
        let settings = SETTINGS.iter().map(|setting| setting_json(setting, loaded));
        let settings: Value = settings.chain([principals_json(loaded)]).collect();
        output::line(json!({"settings": settings}))?;
    } else {
        let mut page = Page::default();
        let rows = SETTINGS.iter().map(|setting| {
            let values = setting.shown(&loaded.config);
            let shown = if values.is_empty() {
                format!("({})", setting.absent)
            } else {
                let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
                values.join("\n")
            };
            vec![setting.name.to_owned(), shown, loaded.origin(setting.name).to_string()]
        });
        page.rows(&["setting", "value", "from"], usize::MAX, rows.chain([principals(loaded)]));
        page.print()?;
    }
    if loaded.problems.is_empty() { Ok(()) } else { Err(Failure::Input(loaded.all_problems())) }
}

/// The limits of single principals, as far as they differ from those of all.
fn own_limits(loaded: &Loaded) -> impl Iterator<Item = (&str, Vec<(&'static str, u32)>)> {
    loaded.config.limits.principals.iter().map(|(principal, own)| {
        let PrincipalLimits { rate, burst, calls, streams } = *own;
        let all = [("rate", rate), ("burst", burst), ("calls", calls), ("streams", streams)];
        let set = all.into_iter().filter_map(|(name, number)| Some((name, number?)));
        (principal.as_str(), set.collect())
    })
}

fn principals(loaded: &Loaded) -> Vec<String> {
    let lines = own_limits(loaded).map(|(principal, limits)| {
        let limits: Vec<_> = limits.iter().map(|(name, n)| format!("{name} {n}")).collect();
        format!("{principal}: {}", limits.join(", "))
    });
    let lines: Vec<String> = lines.collect();
    let shown = if lines.is_empty() { "(as for all)".to_owned() } else { lines.join("\n") };
    vec![PRINCIPALS.to_owned(), shown, loaded.origin(PRINCIPALS).to_string()]
}

fn principals_json(loaded: &Loaded) -> Value {
    let limits = own_limits(loaded).map(|(principal, limits)| {
        let limits = limits.into_iter().map(|(name, number)| (name.to_owned(), number.into()));
        (principal.to_owned(), Value::Object(limits.collect()))
    });
    let value = Value::Object(limits.collect());
    json!({"name": PRINCIPALS, "value": value, "from": origin_json(&loaded.origin(PRINCIPALS))})
}

fn setting_json(setting: &Setting, loaded: &Loaded) -> Value {
    let values = setting.shown(&loaded.config);
    let mut texts = values.iter().map(|value| value.to_string_lossy().into_owned());
    let value = match setting.shape {
        Shape::List => texts.collect(),
        Shape::Text => texts.next().map_or(Value::Null, Value::from),
        Shape::Number => {
            let number = texts.next().and_then(|text| text.parse::<u64>().ok());
            number.map_or(Value::Null, Value::from)
        }
        Shape::Share | Shape::Switch => {
            let value = texts.next().and_then(|text| text.parse().ok());
            value.unwrap_or(Value::Null)
        }
    };
    let from = origin_json(&loaded.origin(setting.name));
    json!({"name": setting.name, "value": value, "from": from})
}

fn origin_json(origin: &Origin) -> Value {
    match origin {
        Origin::Flag(flag) => json!({"flag": format!("--{flag}")}),
        Origin::Variable(name) => json!({"environment": name}),
        Origin::File { path, line } => json!({"file": path.to_string_lossy(), "line": line}),
        Origin::Default => json!({"default": true}),
    }
}
