import CLinux
import Glibc

/// What makegdbm and makebdb do: make a database of the lines on standard input, and print one as such lines.
public struct PopmapTool<Database: PopmapDatabase> {
    /// Status of every failure, as the original's tools have it.
    private static var failure: Int32 { 255 }

    private let name: String
    private let path: String

    /// A tool at work on a file.
    /// - Parameters:
    ///   - name: what it is called in its messages.
    ///   - path: the database.
    public init(name: String, path: String) {
        self.name = name
        self.path = path
    }

    /// Makes the database, in place of the one that is there. Lines that are no entry are complained about and passed
    /// over.
    /// - Throws: `PopmapFileError` where it cannot be written; one that was there stays then.
    public func make() throws(PopmapFileError) {
        let text = try FileContent.read(STDIN_FILENO, name: "standard input")
        // From here on nothing is left half done: an interrupt takes effect when the database stands.
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_BLOCK, &all, nil)
        let writer = try PopmapWriter<Database>(path: path)
        var number = 0
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            switch PopmapText.line(line) {
            case .entry(let key, let value):
                guard try !writer.insert(key, value) else { continue }
                let shown = String(decoding: key, as: UTF8.self)
                Self.complain("\(name): line \(number): key given before, ignored: \(shown)")
            case .empty: break
            case .invalid: Self.complain("\(name): line \(number): not of the form key:value, ignored")
            }
        }
        try writer.finish()
    }

    /// Prints what the database holds, as the lines it could be made of.
    /// - Throws: `PopmapFileError` where it cannot be read, or the lines not be written.
    public func dump() throws(PopmapFileError) {
        var output: [UInt8] = []
        try PopmapReader(PopmapSource<Database>(path: path)).forEach { key, value in
            output += key
            output.append(UInt8(ascii: ":"))
            output += value
            output.append(UInt8(ascii: "\n"))
        }
        var sent = 0
        while sent < output.count {
            let count = unsafe output.withUnsafeBytes {
                unsafe write(STDOUT_FILENO, $0.baseAddress?.advanced(by: sent), $0.count - sent)
            }
            guard count > 0 else {
                throw PopmapFileError("cannot write: \(String(cString: strerror(linux_errno())))")
            }
            sent += count
        }
    }

    /// Ends the program with a message on standard error and the status of every failure.
    public static func fail(_ text: String) -> Never {
        complain(text)
        Glibc.exit(failure)
    }

    private static func complain(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}
