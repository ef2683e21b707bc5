"""Where the workers can be asked what they do: `control_socket`."""

from __future__ import annotations

from penstock.config.kinds import either, logs_path
from penstock.config.registry import MAIN
from penstock.config.settings import Settings, directive
from penstock.modules.core.main import Main

ENDING = ".control"


class ControlFolder(Settings):
    """A folder that only the workers' user and root can enter, with one unix socket for each worker."""

    folder: str | None = directive(
        "control_socket",
        where=MAIN,
        takes=either("off", "", logs_path),
        shown="beside the pid file",
        doc="The folder of the sockets at which `penstock tunnels` and the `status` page ask the workers. Unset: "
        "beside the pid file, with `.control` in place of `.pid`. Only root and the workers' user may use them.",
    )

    def beside(self, main: Main, pid_file: str) -> str:
        """Return the folder in force, "" for none. `pid_file` is what stands where the configuration names none."""
        if self.folder is not None:
            return self.folder
        return (main.pid or pid_file).removesuffix(".pid") + ENDING
