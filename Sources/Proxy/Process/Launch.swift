import CLinux
import Daemon
import Glibc
import TLS

/// What the program was started with and keeps over every reload.
struct Launch {
    /// The command line, with the secrets in it.
    var arguments: [String]
    /// Where relative paths begin.
    var directory: String
    /// The file the program was started from: what is there at a reload is the program from then on.
    var executable: String
    /// Whether it is in the background.
    var isDetached = false
    /// What `--ssl_passphrase_fd` has given; nil where no key needed it.
    var passphrase: Passphrase?
    /// What clients' TLS sessions are sealed with.
    var tickets: TicketKeys
    /// Where master and workers count; nil where there is no memory for it.
    var ledger: Ledger?
    /// Sockets that a service manager holds as well.
    var inherited: [Int32] = []
    /// Milliseconds after which the service manager takes the program for stuck; nil where it does not look.
    var watchdog: UInt64?

    /// Milliseconds between two reports of a worker that it is alive.
    var pulse: UInt64? { watchdog.map { max(10, $0 / 4) } }

    init(arguments: [String], directory: String) {
        self.arguments = arguments
        self.directory = directory
        executable = Self.ownPath()
        tickets = TicketKeys()
    }

    /// What `packed` was made of; nil where it is something else.
    init?(_ parcel: Parcel) {
        let arguments = parcel.texts("argument")
        guard !arguments.isEmpty, let directory = parcel.text("directory"),
            let executable = parcel.text("executable")
        else { return nil }
        self.arguments = arguments
        self.directory = directory
        self.executable = executable
        isDetached = parcel.text("detached") != nil
        passphrase = parcel.bytes("passphrase").flatMap { Passphrase($0) }
        tickets = parcel.bytes("tickets").flatMap { TicketKeys($0) } ?? TicketKeys()
        let ledger: Int32? = parcel.number("ledger")
        self.ledger = ledger.flatMap { Ledger(descriptor: $0) }
        inherited = parcel.numbers("inherited")
        watchdog = parcel.number("watchdog")
    }

    /// For the program that takes this one's place.
    var packed: Parcel {
        var parcel = Parcel()
        for argument in arguments { parcel.add("argument", argument) }
        parcel.add("directory", directory)
        parcel.add("executable", executable)
        if isDetached { parcel.add("detached", "yes") }
        passphrase?.withBytes { parcel.add("passphrase", Array($0)) }
        parcel.add("tickets", tickets.packed)
        if let ledger { parcel.add("ledger", ledger.descriptor) }
        for socket in inherited { parcel.add("inherited", socket) }
        if let watchdog { parcel.add("watchdog", watchdog) }
        return parcel
    }

    /// The command line as everybody may see it.
    var shownArguments: [String] {
        var shown = arguments
        for place in Options.secrets(in: arguments) {
            let head = shown[place.argument].utf8.prefix(place.offset)
            shown[place.argument] = String(decoding: head, as: UTF8.self) + MapOptionMask.mark
        }
        return shown
    }

    /// The file this process runs from, as long as an upgrade has not replaced it.
    static func ownPath() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4097) { room in
            guard let text = room.baseAddress else { return ownImage }
            let count = readlink(ownImage, text, room.count - 1)
            guard count > 0 else { return ownImage }
            room[count] = 0
            return String(cString: text)
        }
    }

    /// The program this process is, even where its file is another one by now.
    static let ownImage = "/proc/self/exe"
}

/// Which file a path leads to: another one, or the same written anew, has another mark.
func fileMark(_ path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { return "" }
    let time = status.st_mtim
    return "\(status.st_dev) \(status.st_ino) \(status.st_size) \(time.tv_sec).\(time.tv_nsec)"
}
