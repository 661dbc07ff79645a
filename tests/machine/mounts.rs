//! File systems of our own, in image files in memory, that are gone when the test is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::kernel;

/// Runs a tool; whether it went well.
pub fn run(tool: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(tool);
    // Where administrators' tools are, also for those who do not look there.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    match command.stderr(Stdio::piped()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("{tool} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Err(format!("{tool}: {error}")),
    }
}

/// A directory in memory where there is one.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a scratch directory")
}

/// A file system that is mounted, and unmounted when this goes out of scope.
pub struct Mount {
    pub at: PathBuf,
    image: Option<PathBuf>,
    is_mounted: bool,
    _scratch: tempfile::TempDir,
}

impl Mount {
    /// A new file system of this kind and size. The error says what is missing.
    pub fn new(kind: &str, mib: u64, options: &[&str]) -> Result<Self, String> {
        if !kernel::is_root() {
            return Err("only root can mount".to_owned());
        }
        let scratch = scratch();
        let at = scratch.path().join("mounted");
        std::fs::create_dir(&at).map_err(|error| error.to_string())?;
        if kind == "tmpfs" {
            let size = format!("size={mib}m");
            run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(&at)])?;
            return Ok(Self { at, image: None, is_mounted: true, _scratch: scratch });
        }
        let image = scratch.path().join("image");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        run(&format!("mkfs.{kind}"), &[options, &["-q", text(&image)]].concat())?;
        let mut mount = Self { at, image: Some(image), is_mounted: false, _scratch: scratch };
        mount.mount("rw")?;
        Ok(mount)
    }

    /// An image that is there.
    pub fn of_image(image: &Path, options: &str) -> Result<Self, String> {
        let scratch = scratch();
        let at = scratch.path().join("mounted");
        std::fs::create_dir(&at).map_err(|error| error.to_string())?;
        let mut mount = Self { at, image: Some(image.to_owned()), is_mounted: false, _scratch: scratch };
        mount.mount(options)?;
        Ok(mount)
    }

    pub fn mount(&mut self, options: &str) -> Result<(), String> {
        let image = self.image.as_ref().ok_or("nothing to mount")?;
        run("mount", &["-o", &format!("loop,{options}"), text(image), text(&self.at)])?;
        self.is_mounted = true;
        Ok(())
    }

    pub fn unmount(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        // Somebody who looks at all file systems may have a file of it open for a moment.
        for _ in 0..50 {
            result = run("umount", &[text(&self.at)]);
            if result.is_ok() {
                self.is_mounted = false;
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        result
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted && run("umount", &[text(&self.at)]).is_err() {
            let _ = run("umount", &["-l", text(&self.at)]);
        }
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
