//! Folders that are removed after a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Holds a folder, which is removed after the test.
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes an empty folder, in memory where the system has such.
    pub fn new() -> ScratchFolder {
        // Without a disk a sync costs nothing, and these tests don't cut the power.
        let memory = Path::new("/dev/shm");
        match memory.is_dir() {
            true => ScratchFolder::within(memory),
            false => ScratchFolder::on_disk(),
        }
    }

    /// Makes an empty folder below `target/`, for what is large or is run.
    pub fn on_disk() -> ScratchFolder {
        ScratchFolder::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// Takes charge of a folder.
    pub fn at(folder: PathBuf) -> ScratchFolder {
        ScratchFolder(folder)
    }

    fn within(place: &Path) -> ScratchFolder {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("smtp-from-scratch-{}-{number}", std::process::id());
        let folder = place.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder for a test");
        ScratchFolder(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
