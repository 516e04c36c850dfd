//! What the numbers were measured on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::peers::command;
use crate::peers::process::Process;
use crate::table::{Samples, millis};

/// A directory on a disk, for the lock files.
pub fn disk() -> PathBuf {
    std::env::temp_dir()
}

/// A directory in memory, as /var/lock is on Debian.
pub fn in_memory() -> PathBuf {
    PathBuf::from("/dev/shm")
}

/// Prints the machine's facts.
pub fn describe() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = line("/proc/sys/kernel/osrelease");
    let system = field("/etc/os-release", "PRETTY_NAME=").replace('"', "");
    println!(
        "machine  {}, {cores} cores, {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal")
    );
    println!("system   {system}, Linux {kernel}");
    for dir in [disk(), in_memory()] {
        println!("sync     {} for 1 KiB in {}", millis(sync_time(&dir).p50()), dir.display());
    }
    load();
}

/// Prints how busy the machine is with other things.
pub fn load() {
    println!("load     {}", line("/proc/loadavg"));
}

/// Keeps every processor from sleeping for as long as the result lives, with work that gives way to any
/// other at once.
pub fn keep_awake() -> Vec<Process> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let spin = || Process::spawn(command("chrt").args(["--idle", "0", "sh", "-c", "while :; do :; done"]));
    (0..cores).map(|_| spin()).collect()
}

/// Resident memory of a process now and at its most, as the kernel says it.
pub fn resident(pid: u32) -> String {
    let status = format!("/proc/{pid}/status");
    format!("{}, at most {}", field(&status, "VmRSS"), field(&status, "VmHWM"))
}

/// Memory of a process and its children: what each has resident, and their sum with what they share
/// counted once.
pub fn memory(pid: u32) -> String {
    let pids: Vec<u32> = std::iter::once(pid).chain(children(pid)).collect();
    let megabytes = |file: &str, name: &str| {
        let kilobytes = |pid: &u32| {
            field(&format!("/proc/{pid}/{file}"), name).trim_end_matches("kB").trim().parse::<f64>()
        };
        pids.iter().map(|pid| kilobytes(pid).unwrap_or_default() / 1e3).collect::<Vec<_>>()
    };
    let resident: Vec<String> =
        megabytes("status", "VmRSS").iter().map(|size| format!("{size:.1}")).collect();
    let shared_once: f64 = megabytes("smaps_rollup", "Pss").iter().sum();
    format!("{} MB resident, {shared_once:.1} MB with shared pages counted once", resident.join(" + "))
}

fn children(pid: u32) -> Vec<u32> {
    let is_child = |of: &u32| field(&format!("/proc/{of}/status"), "PPid").parse() == Ok(pid);
    processes().filter(is_child).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The process that was started with `argument`.
pub fn process_with(argument: &Path) -> Option<u32> {
    let argument = argument.to_str()?;
    processes().find(|pid| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split('\0').any(|word| word == argument)
    })
}

/// What the journal waits for before anything is sent.
fn sync_time(dir: &Path) -> Samples {
    let mut samples = Samples::default();
    let path = dir.join(format!("mercury-bench-{}", std::process::id()));
    let mut file = File::create(&path).expect("a writable directory");
    for _ in 0..50 {
        file.set_len(0).and_then(|()| file.write_all(&[b'x'; 1024])).expect("space left");
        samples.time(|| file.sync_data()).expect("a disk that works");
    }
    fs::remove_file(path).expect("the file is ours");
    samples
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The rest of the first line that begins with `name`.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
    rest.trim_matches([':', ' ', '\t']).to_owned()
}
