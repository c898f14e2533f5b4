internal import Daemon
internal import Synchronization

/// The configuration file as it was when the options were read. What is started later reads this, and not what the file
/// has become meanwhile: a worker that has crashed is back with what was checked.
struct ConfigurationSnapshot: Sendable, Equatable {
    /// The file; nil where none was read.
    var path: String?
    /// What was in it.
    var bytes: [UInt8] = []

    /// Files among which there is this one only.
    var files: OptionFiles {
        OptionFiles { [self] wanted in wanted == path ? .bytes(bytes) : .absent }
    }
}

extension ConfigurationSnapshot {
    /// For another process.
    var packed: Parcel {
        var parcel = Parcel()
        if let path {
            parcel.add("path", path)
            parcel.add("file", bytes)
        }
        return parcel
    }

    /// What `packed` was made of.
    init(_ parcel: Parcel) {
        path = parcel.text("path")
        bytes = parcel.bytes("file") ?? []
    }
}

/// Remembers the file that a reading of the options came to.
final class ConfigurationRecorder: Sendable {
    private let found = Mutex(ConfigurationSnapshot())

    /// What was read so far.
    var snapshot: ConfigurationSnapshot { found.withLock { $0 } }

    /// The same files, watched.
    func watching(_ files: OptionFiles) -> OptionFiles {
        OptionFiles { [self] path in
            let content = files.read(path)
            if case .bytes(let bytes) = content {
                found.withLock { $0 = ConfigurationSnapshot(path: path, bytes: bytes) }
            }
            return content
        }
    }
}
