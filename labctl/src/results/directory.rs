//! A run's directory: `runs/<chapter>/<UTC time>/`. During the run it is named `….partial`; it is renamed
//! once complete, so a half-written result is never mistaken for a complete one.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::runner::RunDocument;
use lab::error::LabError;
use lab::{Events, site};
use load::Recorder;

/// A directory that is being filled. It is removed if dropped before it is finished.
#[derive(Debug)]
pub struct RunDirectory {
    partial: PathBuf,
    finished: PathBuf,
    done: bool,
}

impl RunDirectory {
    /// Creates the directory of a run that begins now.
    pub fn begin(runs: &Path, chapter: &str, began: jiff::Timestamp) -> Result<Self, LabError> {
        let name = began.strftime("%Y-%m-%dT%H-%M-%S%.3fZ").to_string();
        let finished = runs.join(chapter).join(&name);
        let partial = runs.join(chapter).join(format!("{name}.partial"));
        site::own_directory(runs)?;
        site::make_directory(&partial.join("logs"))?;
        site::can_hold_data(&partial)?;
        Ok(Self { partial, finished, done: false })
    }

    /// Returns the directory for the machines' logs.
    pub fn logs(&self) -> PathBuf {
        self.partial().join("logs")
    }

    /// Returns its path until it is finished.
    pub fn partial(&self) -> PathBuf {
        std::path::absolute(&self.partial).unwrap_or_else(|_| self.partial.clone())
    }

    /// Returns its final path.
    pub fn path(&self) -> &Path {
        &self.finished
    }

    /// Writes all results and renames the directory.
    pub fn finish(
        mut self,
        summary: &RunDocument,
        chapter: &str,
        events: &Events,
        recorder: &Recorder,
    ) -> anyhow::Result<()> {
        self.write("summary.json", |out| Ok(serde_json::to_writer_pretty(out, summary)?))?;
        self.write("chapter.toml", |out| Ok(out.write_all(chapter.as_bytes())?))?;
        self.write("events.jsonl", |out| {
            for event in events.since(0) {
                serde_json::to_writer(&mut *out, &event)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        self.write("requests.csv", |out| Ok(recorder.write_csv(out)?))?;
        self.name_it()
    }

    /// Writes these files and renames the directory.
    pub fn finish_with(mut self, files: &[(String, String)]) -> anyhow::Result<()> {
        for (name, content) in files {
            self.write(name, |out| Ok(out.write_all(content.as_bytes())?))?;
        }
        self.name_it()
    }

    fn name_it(&mut self) -> anyhow::Result<()> {
        fs::rename(&self.partial, &self.finished)
            .with_context(|| format!("name {}", self.finished.display()))?;
        self.done = true;
        self.point_latest_here()
    }

    fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.partial.join(name);
        let written = || {
            let mut out = BufWriter::new(File::create(&path)?);
            content(&mut out)?;
            anyhow::Ok(out.flush()?)
        };
        written().with_context(|| format!("write {}", path.display()))
    }

    /// Replaces `latest` atomically: readers see the old link or the new one.
    fn point_latest_here(&self) -> anyhow::Result<()> {
        let (Some(parent), Some(name)) = (self.finished.parent(), self.finished.file_name()) else {
            return Ok(());
        };
        let new = parent.join("latest.new");
        let _ = fs::remove_file(&new);
        symlink(name, &new)
            .and_then(|()| fs::rename(&new, parent.join("latest")))
            .with_context(|| format!("point {}/latest to the newest run", parent.display()))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}
