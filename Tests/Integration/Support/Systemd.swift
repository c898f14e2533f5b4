import Foundation
import Glibc

/// A real systemd that manages nothing but our units: process 1 of namespaces of its own, with a /run of its own. Needs
/// root. The network is the machine's.
final class Systemd {
    /// Root who may make namespaces.
    static let isPossible =
        getuid() == 0
        && (try? ChildProcess.run(
            Programs.debian("unshare"),
            ["--mount", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "--cgroup", "true"]
        ).status) == 0

    /// Its files; units see them in `place`.
    let directory: TemporaryDirectory
    /// Where the units see `directory`: /tmp is hidden from them.
    static let place = "/run/house"
    /// Where the units see the programs.
    private static let programs = "/run/programs"
    private let process: ChildProcess
    private let pid: pid_t

    /// Starts it with the units of docs/examples/systemd.
    /// - Parameters:
    ///   - dropIns: for units, such as `perdition@.service`, in the form of systemd.unit(5).
    ///   - instances: those that there is a program of.
    ///   - more: further units by their names, as a package brings them.
    init(_ dropIns: [String: String] = [:], instances: [String] = ["imap4"], more: [String: String] = [:]) throws {
        directory = try TemporaryDirectory()
        let units = try directory.folder("units")
        let libexec = try directory.folder("usr/libexec/perdition")
        _ = try directory.folder("usr/sbin")
        let providers = ["perdition-map-gdbm", "perdition-map-regex"]
        let made = try ChildProcess.run(
            "\(Programs.source)/Scripts/units",
            ["--prefix", "\(Self.place)/usr", "--files", providers.joined(separator: " "), "--libexec", libexec, units]
                + providers)
        guard made.status == 0 else { throw Failure(made.output) }
        for name in instances { symlink("\(Self.programs)/perdition", directory.file("usr/sbin/perdition.\(name)")) }
        for (unit, text) in more { try directory.write(text, to: "units/\(unit)") }
        for name in providers { symlink("\(Self.programs)/\(name)", "\(libexec)/\(name)") }
        // What a system has, and our units name.
        for target in ["sysinit", "basic", "shutdown", "sockets", "network-online", "nss-lookup", "network", "tests"] {
            try directory.write(
                "[Unit]\nDescription=\(target)\nDefaultDependencies=no\n", to: "units/\(target).target")
        }
        for (unit, text) in dropIns {
            _ = try directory.folder("units/\(unit).d")
            try directory.write(text, to: "units/\(unit).d/test.conf")
        }
        let binaries = URL(fileURLWithPath: Programs.binaries).resolvingSymlinksInPath().path
        try directory.write(
            """
            set -e
            mount --make-rprivate /
            mount -t tmpfs -o mode=755 tmpfs /run
            mkdir -p /run/lock \(Self.place) \(Self.programs)
            mount --bind \(directory.path) \(Self.place)
            mount --bind \(binaries) \(Self.programs)
            export container=test SYSTEMD_UNIT_PATH=\(Self.place)/units
            exec /lib/systemd/systemd --system --unit=tests.target --show-status=no
            """, to: "start")
        try directory.write(Self.ownGroup(directory), to: "own-group")
        let process = try ChildProcess(
            "/bin/sh",
            [
                directory.file("own-group"), Programs.debian("unshare"), "--mount", "--pid", "--fork", "--kill-child",
                "--mount-proc", "--uts", "--ipc", "--cgroup", "/bin/sh", directory.file("start"),
            ], log: directory.file("log"))
        self.process = process
        var found: ProcessEntry?
        try eventually("systemd runs") {
            found = ProcessTable.now.first { $0.parent == process.pid && $0.name == "systemd" }
            return found != nil || process.hasEnded
        }
        guard let found else { throw Failure("systemd does not start: \(process.log)") }
        pid = found.pid
        try eventually("systemd answers") { try run("systemctl", "is-active", "tests.target").status == 0 }
    }

    deinit {
        process.end()
        let folders = directory.text("groups").split(separator: "\n").map(String.init)
        guard !folders.isEmpty else { return }
        // They can go when the last process has gone.
        try? eventually("its control groups are gone") {
            _ = try ChildProcess.run(
                Programs.debian("find"), folders + ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
            return folders.allSatisfy { access($0, F_OK) != 0 }
        }
    }

    /// A script that runs its arguments in control groups of their own, in each tree that systemd may use. In one that it
    /// shares with another, units of one name are in one group, and one systemd clears away what the other has made.
    private static func ownGroup(_ directory: TemporaryDirectory) -> String {
        let name = URL(fileURLWithPath: directory.path).lastPathComponent
        return """
            set -e
            while IFS=: read -r number kind own; do
                case $kind in
                name=systemd) tree=/sys/fs/cgroup/systemd ;;
                "") tree=/sys/fs/cgroup; [ ! -d $tree/unified ] || tree=$tree/unified ;;
                *) continue ;;
                esac
                group=$tree${own%/}/\(name)
                # Where there can be none the test may still do well; the log says why.
                if mkdir "$group"; then
                    echo "$group" >>\(directory.file("groups"))
                    echo $$ >"$group/cgroup.procs" || true
                fi
            done </proc/self/cgroup
            exec "$@"
            """
    }

    /// Runs a command where the units run.
    func run(_ command: String...) throws -> (status: Int32, output: String) {
        try ChildProcess.run(
            Programs.debian("nsenter"), ["-t", "\(pid)", "-m", "-p", "-u", "-i", "-C", "--"] + command)
    }

    /// A property of a unit.
    func property(_ name: String, of unit: String) throws -> String {
        let result = try run("systemctl", "show", "--value", "-p", name, unit)
        return result.output.split(separator: "\n").first.map(String.init) ?? ""
    }

    /// Masters and workers that run under it, whichever unit has started them.
    var proxies: [ProcessEntry] {
        ProcessTable.family(of: pid).filter { $0.executable.hasSuffix("/perdition") }
    }

    /// What a test's message needs of a unit that is not as it should be.
    func report(_ unit: String) -> String {
        let status = (try? run("systemctl", "status", "--no-pager", unit).output) ?? ""
        return status + ((try? run("sh", "-c", "cat /run/perdition/log").output) ?? "")
    }
}
