//! The flags of `bergulir serve`, made from the list of settings, and where its file is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use bergulir_server::ConfigFile;
use bergulir_server::config::{Layers, Loaded, Names, SETTINGS, Setting, Shape, load};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use crate::failure::Failure;

const CONFIG: &str = "config";

/// What was said on the command line.
#[derive(Debug, Clone)]
pub(crate) struct SettingArgs {
    config: Option<PathBuf>,
    flags: Vec<(&'static Setting, Vec<OsString>)>,
}

impl SettingArgs {
    /// Puts the layers together. What is wrong with the settings is in what is returned.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let text = match &self.config {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                let name = path.display();
                Failure::CouldNotTell(format!("could not read the configuration {name}: {error}"))
            })?),
            None => None,
        };
        Ok(self.load_text(text.as_deref()))
    }

    /// Where the file is, and how it is read again.
    pub(crate) fn file(&self) -> Option<ConfigFile> {
        let path = self.config.clone()?;
        let args = self.clone();
        Some(ConfigFile { path, read: Arc::new(move |text| args.load_text(Some(text))) })
    }

    fn load_text(&self, text: Option<&str>) -> Loaded {
        load(Layers {
            flags: self.flags.clone(),
            environment: std::env::vars_os().collect(),
            file: self.config.as_deref().zip(text),
        })
    }
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .env("BERGULIR_CONFIG")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("A configuration file in TOML; flags and environment variables go before it");
        command.arg(config).args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        SettingArgs::augment_args(command)
    }
}

fn flag(setting: &Setting) -> Arg {
    let Setting { help, variable, .. } = setting;
    let again = if setting.shape == Shape::List { "; may be given again" } else { "" };
    let help = format!("{help}{again} [env: {variable}] [default: {}]", setting.default());
    let action = if setting.shape == Shape::List { ArgAction::Append } else { ArgAction::Set };
    let hint = match setting.names {
        Names::Nothing => ValueHint::Other,
        Names::File => ValueHint::FilePath,
        Names::Folder | Names::NewFolder => ValueHint::DirPath,
    };
    let arg = Arg::new(setting.name)
        .long(setting.flag)
        .value_name(setting.placeholder)
        .value_parser(value_parser!(OsString))
        .value_hint(hint)
        .action(action)
        .help(help);
    match setting.shape {
        Shape::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Shape::Text | Shape::Number | Shape::Share | Shape::List => arg,
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingArgs, clap::Error> {
        let given = |setting: &'static Setting| {
            let values = matches.get_many::<OsString>(setting.name)?;
            Some((setting, values.cloned().collect()))
        };
        Ok(SettingArgs {
            config: matches.get_one(CONFIG).cloned(),
            flags: SETTINGS.iter().filter_map(given).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingArgs::from_arg_matches(matches)?;
        Ok(())
    }
}
