//! Arguments for simulated command lines.

use std::path::PathBuf;

use super::{check_name, names};
use crate::sim;
use crate::sim::cli::{CliFault, CliSpec, systems};

/// One `--system`.
#[derive(Clone, Debug)]
pub(super) struct SystemArg {
    pub spec: CliSpec,
    pub port: u16,
    pub config: Option<PathBuf>,
}

/// `cisco_ios`, or `name=leaf2,os=cisco_ios,...`.
pub(super) fn parse(text: &str) -> Result<SystemArg, String> {
    let mut spec = CliSpec { name: String::new(), ..CliSpec::new("") };
    let (mut port, mut config) = (0, None);
    for item in text.split(',') {
        let wrong = || format!("`{item}` is not understood; `mercury simulate --help` lists all keys");
        match item.split_once('=') {
            None => item.clone_into(&mut spec.system),
            Some(("os", value)) => value.clone_into(&mut spec.system),
            Some(("name", value)) => value.clone_into(&mut spec.name),
            Some(("hostname", value)) => spec.hostname = Some(value.to_owned()),
            Some(("port", value)) => port = value.parse().map_err(|_| wrong())?,
            Some(("ports", value)) => spec.ports = names(value).ok_or_else(wrong)?,
            Some(("no-link", value)) => spec.no_link = names(value).ok_or_else(wrong)?,
            Some(("timers", value)) => spec.timer_scale = value.parse().map_err(|_| wrong())?,
            Some(("variant", value)) => spec.variants.extend([value.to_owned()]),
            Some(("config", value)) => config = Some(PathBuf::from(value)),
            Some(_) => return Err(wrong()),
        }
    }
    if !systems().contains(&spec.system.as_str()) {
        return Err(format!("`{}` is no system: take one of {}", spec.system, systems().join(", ")));
    }
    if spec.name.is_empty() {
        spec.name.clone_from(&spec.system);
    }
    check_name(&spec.name)?;
    Ok(SystemArg { spec, port, config })
}

pub(super) fn parse_fault(text: &str) -> Result<(String, CliFault), String> {
    let (name, fault) = text.split_once(':').ok_or("write `switch:command:what`")?;
    Ok((name.to_owned(), fault.parse().map_err(|error: sim::FaultSpecError| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_arguments() {
        let arg = parse("name=leaf2,os=arista_eos,port=22,ports=Ethernet1..Ethernet2,timers=60,hostname=x")
            .unwrap();
        assert_eq!((arg.spec.name.as_str(), arg.spec.system.as_str(), arg.port), ("leaf2", "arista_eos", 22));
        assert_eq!((arg.spec.ports.len(), arg.spec.timer_scale), (2, 60));
        assert_eq!(parse("cisco_ios").unwrap().spec.name, "cisco_ios");
        for bad in ["", "windows", "os=cisco_ios,name=../x", "cisco_ios,colour=red", "cisco_ios,port=x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_fault("a:^commit timer 0:05:00:drop-after").unwrap().0, "a");
        assert!(parse_fault("a:^commit").is_err());
    }
}
