//! Fuzzing: builds the targets in `fuzz/` with coverage counters and runs each for a while.
//!
//! The counters come from LLVM flags that stable Rust passes on, so that neither cargo-fuzz nor a nightly compiler is needed;
//! what is lost is the address sanitizer, which code without `unsafe` has little use for. Inputs that lead somewhere new are
//! kept in `target/fuzz/corpus/TARGET`, and one that crashes in `target/fuzz/found/TARGET`: it becomes a test before it is
//! mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, report, workspace};

/// A target and the files of the repository that its corpus begins with.
struct Target {
    name: &'static str,
    package: &'static str,
    seeds: &'static [Seeds],
}

/// Files with this extension, below this folder of the workspace, each put behind `prefix`.
struct Seeds {
    folder: &'static str,
    extension: &'static str,
    prefix: &'static str,
}

const FRAMES: &str = "tests/golden/frames";

const TARGETS: &[Target] = &[
    Target {
        name: "frame",
        package: "fuzz-gateway",
        seeds: &[Seeds {
            folder: FRAMES,
            extension: "json",
            prefix: "",
        }],
    },
    Target {
        name: "websocket",
        package: "fuzz-gateway",
        seeds: &[Seeds {
            folder: "fuzz/seeds/websocket",
            extension: "bin",
            prefix: "",
        }],
    },
    Target {
        name: "http_head",
        package: "fuzz-shared",
        seeds: &[Seeds {
            folder: "fuzz/seeds/http_head",
            extension: "txt",
            prefix: "",
        }],
    },
    Target {
        name: "config_load",
        package: "fuzz-shared",
        seeds: &[Seeds {
            folder: "fuzz/seeds/config",
            extension: "json5",
            prefix: "",
        }],
    },
    Target {
        name: "config_edit",
        package: "fuzz-shared",
        seeds: &[
            Seeds {
                folder: "fuzz/seeds/config",
                extension: "json5",
                prefix: "gateway.port\u{1e}18789\u{1e}",
            },
            Seeds {
                folder: "fuzz/seeds/config",
                extension: "json5",
                prefix: "agents.list[0].id\u{1e}{a:null}\u{1e}",
            },
        ],
    },
];

/// What cargo-fuzz passes on to the compiler, without a sanitizer.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Flags of the chore.
#[derive(clap::Args)]
#[group(id = "fuzz")]
pub(crate) struct Args {
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,

    /// Targets to run [default: all of them]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS.iter().map(|target| target.name)))]
    targets: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let home = workspace::target_dir()?.join("fuzz");
    let host = host()?;
    let mut failed = Vec::new();
    for target in TARGETS {
        if !args.targets.is_empty() && args.targets.iter().all(|name| name != target.name) {
            continue;
        }
        build(target, &home, &host)?;
        let (corpus, found) = folders(target, &home)?;
        let mut fuzzer = Command::new(home.join(&host).join("release").join(target.name));
        fuzzer
            .current_dir(&found)
            .arg(format!("-max_total_time={}", args.seconds))
            .args(["-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"])
            .args(["-print_final_stats=1", "-verbosity=1"])
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg(&corpus);
        if command::run(&mut fuzzer).is_err() {
            failed.push(target.name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "findings in {}: {}",
            home.join("found").display(),
            failed.join(", ")
        );
    }
    report::answer("no findings");
    Ok(())
}

/// Builds one target. Naming the machine's own platform keeps the flags away from build scripts and macros.
fn build(target: &Target, home: &Path, host: &str) -> Result<()> {
    command::run(
        workspace::cargo()
            .env("RUSTFLAGS", RUSTFLAGS)
            .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"])
            .args(["--target", host, "--target-dir"])
            .arg(home)
            .args(["--package", target.package, "--bin", target.name]),
    )
}

/// The folders of the corpus, seeded, and of findings.
fn folders(target: &Target, home: &Path) -> Result<(PathBuf, PathBuf)> {
    let corpus = home.join("corpus").join(target.name);
    let found = home.join("found").join(target.name);
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    for (at, seeds) in target.seeds.iter().enumerate() {
        let from = workspace::root().join(seeds.folder);
        let entries =
            fs::read_dir(&from).with_context(|| format!("cannot list {}", from.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot list {}", from.display()))?
                .path();
            if path.extension().is_none_or(|kind| kind != seeds.extension) {
                continue;
            }
            let text =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let to = corpus.join(format!("seed-{at}-{name}"));
            fs::write(&to, [seeds.prefix.as_bytes(), &text].concat())
                .with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok((corpus, found))
}

/// The platform of this machine, as the compiler names it.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot start `rustc`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("`rustc -vV` names no host")
}
