//! The profiles that there are. Those in `devices/` are part of the binary; an operator's directory
//! adds to them or takes the place of one by its file name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use include_dir::{Dir, File, include_dir};
use toml::de::DeTable;

use super::profile::aliases;
use super::{Profile, safe_name};
use crate::config::reader::{ConfigErrors, Problems, file_text, hint, read_layers, toml_files};
use crate::device::language::TemplateSources;

/// Profiles by name. One of the binary is read when it is first asked for: compiling the patterns of
/// all of them takes longer than the rest of a start.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// Those that are an operator's in any way; none: it cannot be read, and ours does not stand for it.
    own: BTreeMap<String, Option<Arc<Profile>>>,
}

/// The texts of profiles and where they are from, by name.
type Texts = BTreeMap<String, (PathBuf, Cow<'static, str>)>;

static DEVICES: Dir = include_dir!("$CARGO_MANIFEST_DIR/devices");

static TEXTS: LazyLock<Texts> = LazyLock::new(|| DEVICES.files().filter_map(text).collect());

/// The profiles in the binary, read or not yet.
static BUILTIN: LazyLock<BTreeMap<&str, Read>> =
    LazyLock::new(|| TEXTS.keys().map(|name| (name.as_str(), Read::default())).collect());

/// One of the binary: not read yet, read, or broken.
type Read = OnceLock<Result<Arc<Profile>, ConfigErrors>>;

impl Profiles {
    /// Those in the binary, and every `NAME.toml` of an operator's directory. `templates`: the operator's
    /// templates, with a directory a profile. All that is the operator's is read at once.
    pub(crate) fn read(own: Option<&Path>, templates: Option<&Path>, problems: &Problems) -> Self {
        let mut profiles = Self::default();
        if own.is_none() && templates.is_none() {
            return profiles;
        }
        let mut texts = TEXTS.clone();
        let mut theirs = BTreeSet::new();
        for file in own.into_iter().flat_map(|own| toml_files(own, problems)) {
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            match safe_name(&name).and_then(|_| file_text(&file, 0o002)) {
                Ok(text) => {
                    texts.insert(name.clone(), (file, text.into()));
                    theirs.insert(name);
                }
                Err(why) => {
                    problems.about_file(&file, why);
                    profiles.own.insert(name, None);
                }
            }
        }
        for name in texts.keys() {
            let layers = layers(name, &texts, problems);
            let is_theirs =
                |layer: &&str| theirs.contains(*layer) || own_templates(templates, layer).is_some();
            if layers.as_ref().is_none_or(|layers| layers.iter().any(is_theirs)) {
                let profile = layers.and_then(|layers| compile(name, &layers, &texts, templates, problems));
                profiles.own.insert(name.clone(), profile);
            }
        }
        profiles
    }

    /// The profile of this name.
    pub fn get(&self, name: &str) -> Result<Arc<Profile>, String> {
        if let Some(own) = self.own.get(name) {
            // What is wrong with it was said where it was read.
            return own.clone().ok_or_else(|| format!("unknown profile \"{name}\""));
        }
        match builtin(name) {
            Some(read) => read.map_err(|errors| errors.to_string()),
            None => Err(format!("unknown profile \"{name}\"{}", hint(name, self.names()))),
        }
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.own.contains_key(name) || BUILTIN.contains_key(name)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> =
            BUILTIN.keys().copied().chain(self.own.keys().map(String::as_str)).collect();
        names.into_iter()
    }

    /// What other inventories call one of them; it is not read for that.
    pub fn aliases(&self, name: &str) -> BTreeSet<String> {
        if let Some(own) = self.own.get(name) {
            return own.as_ref().map(|own| own.aliases.clone()).unwrap_or_default();
        }
        let problems = Problems::default();
        let layers = layers(name, &TEXTS, &problems).unwrap_or_default();
        read_layers(&of_layers(&layers, &TEXTS), &problems, |table| Some(aliases(table))).unwrap_or_default()
    }

    /// Adds one, or puts it in the place of the one of its name.
    pub fn insert(&mut self, profile: Profile) {
        self.own.insert(profile.name.clone(), Some(Arc::new(profile)));
    }
}

/// The profile of the binary that has this name, read once.
fn builtin(name: &str) -> Option<Result<Arc<Profile>, ConfigErrors>> {
    let (name, cell) = BUILTIN.get_key_value(name)?;
    let read = cell.get_or_init(|| {
        let problems = Problems::default();
        let layers = layers(name, &TEXTS, &problems);
        let profile = layers.and_then(|layers| compile(name, &layers, &TEXTS, None, &problems));
        problems.finish(profile)
    });
    Some(read.clone())
}

/// The profile that these layers make. `templates`: an operator's, with a directory a layer.
fn compile(
    name: &str,
    layers: &[&str],
    texts: &Texts,
    templates: Option<&Path>,
    problems: &Problems,
) -> Option<Arc<Profile>> {
    let mut sources = TemplateSources::default();
    for layer in layers.iter().rev() {
        sources.lay(TemplateSources::builtin(layer));
        match own_templates(templates, layer).map(|own| TemplateSources::read(&own)).transpose() {
            Ok(own) => sources.lay(own),
            Err(error) => problems.about_file(Path::new(&error.place), &error.why),
        }
    }
    let texts = of_layers(layers, texts);
    read_layers(&texts, problems, |table| Profile::read(name, table, &sources)).map(Arc::new)
}

fn own_templates(templates: Option<&Path>, layer: &str) -> Option<PathBuf> {
    Some(templates?.join(layer)).filter(|own| own.is_dir())
}

fn text(file: &'static File) -> Option<(String, (PathBuf, Cow<'static, str>))> {
    let name = file.path().file_stem()?.to_str()?.to_owned();
    Some((name, (Path::new("devices").join(file.path()), file.contents_utf8()?.into())))
}

/// A profile and those that it is `like`, the nearest first; none: one of them is not there.
fn layers<'t>(name: &'t str, texts: &'t Texts, problems: &Problems) -> Option<Vec<&'t str>> {
    let mut layers = vec![name];
    while let Some((path, text)) = layers.last().and_then(|last| texts.get(*last)) {
        // A broken text is found where it is read.
        let like = DeTable::parse(text).ok().and_then(|tree| {
            let like = tree.get_ref().get("like")?;
            Some((like.get_ref().as_str()?.to_owned(), like.span().start))
        });
        let Some((like, at)) = like else { break };
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        match texts.get_key_value(&like) {
            Some((like, _)) if !layers.contains(&like.as_str()) => layers.push(like),
            Some(_) => {
                problems.about_line(path, line, format_args!("like: \"{like}\" is like this one"));
                return None;
            }
            None => {
                let hint = hint(&like, texts.keys().map(String::as_str));
                problems.about_line(path, line, format_args!("like: unknown profile \"{like}\"{hint}"));
                return None;
            }
        }
    }
    Some(layers)
}

fn of_layers<'t>(layers: &[&str], texts: &'t Texts) -> Vec<(&'t Path, &'t str)> {
    layers.iter().filter_map(|layer| texts.get(*layer)).map(|(path, text)| (&**path, &**text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_binary() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
        let problems = Problems::default();
        let files = Profiles::read(Some(&directory), None, &problems);
        let files = problems.finish(Some(files)).unwrap();
        let builtin = Profiles::default();
        assert_eq!(files.names().collect::<Vec<_>>(), builtin.names().collect::<Vec<_>>());
        for name in builtin.names() {
            let profile = builtin.get(name).unwrap();
            assert_eq!(name, profile.name);
            assert_eq!(builtin.aliases(name), profile.aliases);
        }
    }

    #[test]
    fn ours_does_not_stand_for_an_operators_that_is_broken() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join("cisco_ios.toml"), "description = \"half\"\n").unwrap();
        std::fs::write(own.path().join("juniper_junos.toml"), "like = \"no_such_os\"\n").unwrap();
        let problems = Problems::default();
        let profiles = Profiles::read(Some(own.path()), None, &problems);
        assert!(!problems.into_found().is_empty());
        // EOS is like IOS: it is broken with it.
        for name in ["cisco_ios", "arista_eos", "juniper_junos"] {
            let why = profiles.get(name).unwrap_err();
            assert!(why.contains("unknown profile"), "{why}");
        }
        assert!(profiles.get("sonic").is_ok());
    }
}
