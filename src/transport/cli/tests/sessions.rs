//! What a session asks of its shell.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::device::{Device, Profiles, Speaks};
use crate::openconfig::Interface;
use crate::schema::Schema;
use crate::transport::cli::session::CliSession;
use crate::transport::{ReadSet, Session, Store};

/// Notes what it is told; it stands in a configuration mode until it is told to leave.
struct Notes(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Shell for Notes {
    async fn run(&mut self, command: &str, _: Instant) -> Result<Output, Fault> {
        self.0.lock().unwrap().push(command.to_owned());
        Ok(Output { text: "interface GigabitEthernet1/0/1\n".to_owned(), ..Output::default() })
    }

    async fn leave_configuration(&mut self, _: Instant) -> Result<Output, Fault> {
        self.0.lock().unwrap().push("(leaves)".to_owned());
        Ok(Output::default())
    }

    fn is_open(&self) -> bool {
        true
    }

    async fn close(&mut self) {}
}

#[tokio::test]
async fn what_runs_is_read_outside_of_configuration_modes() {
    let profile = Profiles::default().get("cisco_ios").unwrap();
    let Speaks::Cli(habits) = &profile.speaks else { panic!("it has a command line") };
    let (habits, device) = (habits.clone(), Arc::new(Device::stand_in(profile.clone())));
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut session = CliSession::over(Box::new(Notes(notes.clone())), device, habits);
    let paths = vec![Interface::new("GigabitEthernet1/0/1").entry];
    let reads = ReadSet { paths, schema: Schema::builtin().unwrap() };
    session.read(Store::Running, &reads, soon()).await.unwrap();
    let notes = notes.lock().unwrap();
    assert_eq!(*notes, ["(leaves)", "show running-config interface GigabitEthernet1/0/1"]);
}
