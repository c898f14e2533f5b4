import CLinux
import Daemon
import Glibc
import Loop

/// A program of ours that is asked over a socket: a map provider, or the helper that authenticates. It serves every
/// generation that wants just this one.
final class Attendant {
    /// What it is asked on; the listening end is the master's, and stays where the program restarts.
    let socket: ServiceSocket
    /// The process.
    let charge: Charge
    /// When it was told to end; nil as long as somebody needs it.
    var endingSince: UInt64?
    private let program: ChildProcess.Program
    private let mark: String

    /// One that is to be started on a socket.
    init(_ name: String, _ program: ChildProcess.Program, on socket: ServiceSocket, errors: ErrorPipe?) {
        self.socket = socket
        self.program = program
        mark = fileMark(program.path)
        charge = Charge(name: name, errors: errors) { socket.start(program) }
    }

    /// Whether it does for somebody who wants `program`: the same file with the same orders.
    func suits(_ program: ChildProcess.Program) -> Bool {
        endingSince == nil && program == self.program && mark == fileMark(program.path)
    }

    /// Closes what is left of one that has ended.
    func remove() {
        socket.remove()
        close(socket.listener)
        charge.errors?.close()
    }

    // MARK: Over a reload

    /// One that runs already; nil where the parcel holds something else.
    init?(_ parcel: Parcel) {
        guard let path = parcel.text("socket"), let directory = parcel.text("directory"),
            let listener: Int32 = parcel.number("listener"), let charge = parcel.parcels("charge").first,
            let program = parcel.parcels("program").first.flatMap({ ChildProcess.Program($0) })
        else { return nil }
        let socket = ServiceSocket(path: path, directory: directory, listener: listener)
        self.socket = socket
        self.program = program
        mark = parcel.text("mark") ?? ""
        endingSince = parcel.number("ending")
        self.charge = Charge(charge) { socket.start(program) }
    }

    /// What the other `init` reads.
    var packed: Parcel {
        var parcel = Parcel()
        parcel.add("socket", socket.path)
        parcel.add("directory", socket.directory)
        parcel.add("listener", socket.listener)
        parcel.add("charge", charge.packed)
        parcel.add("program", program.packed)
        parcel.add("mark", mark)
        if let endingSince { parcel.add("ending", endingSince) }
        return parcel
    }

    /// Descriptors that are to live on with it.
    var descriptors: [Int32] { [socket.listener] + charge.descriptors }
}
