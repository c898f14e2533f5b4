import ArgumentParser
import CLinux
import GDBM
import Glibc

/// makegdbm: makes a GDBM file from lines of text, or lines from a file.
@main
struct MakeGDBM: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "makegdbm",
        abstract: "Make a GDBM database from lines 'key:value' on standard input.",
        discussion: "A database of that name is replaced in one step: readers see the old one or the new one.")

    @Flag(name: .shortAndLong, help: "Print what the database holds, as the lines it is made of.")
    var undo = false

    @Argument(help: "The database file.")
    var gdbmname: String

    /// Status of every failure, as the original has it.
    private static let failure: Int32 = 255

    static func main() {
        do {
            let command = try parse()
            if command.undo { try command.dump() } else { try command.make() }
        } catch let error as GDBMError {
            fail("makegdbm: \(error)")
        } catch let error where exitCode(for: error) == .success {
            print(message(for: error))
        } catch {
            fail(fullMessage(for: error))
        }
    }

    private static func fail(_ text: String) -> Never {
        complain(text)
        Glibc.exit(failure)
    }

    private static func complain(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }

    private func make() throws(GDBMError) {
        let text = try Self.readAll()
        // From here on nothing is left half done: an interrupt takes effect when the database stands.
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_BLOCK, &all, nil)
        let writer = try GDBMWriter(path: gdbmname)
        var number = 0
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            switch PopmapText.line(line) {
            case .entry(let key, let value):
                guard try !writer.insert(key, value) else { continue }
                let name = String(decoding: key, as: UTF8.self)
                Self.complain("makegdbm: line \(number): key given before, ignored: \(name)")
            case .empty: break
            case .invalid: Self.complain("makegdbm: line \(number): not of the form key:value, ignored")
            }
        }
        try writer.finish()
    }

    private static func readAll() throws(GDBMError) -> [UInt8] {
        var text: [UInt8] = []
        while true {
            var failed = false
            let chunk = [UInt8](unsafeUninitializedCapacity: 64 * 1024) { room, count in
                let got = unsafe read(STDIN_FILENO, room.baseAddress, room.count)
                failed = got < 0
                count = max(0, got)
            }
            if failed {
                if linux_errno() == EINTR { continue }
                fail("makegdbm: cannot read standard input: \(String(cString: strerror(linux_errno())))")
            }
            if chunk.isEmpty { return text }
            text += chunk
        }
    }

    private func dump() throws(GDBMError) {
        var output: [UInt8] = []
        try GDBMReader(GDBMSource(path: gdbmname)).forEach { key, value in
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
            guard count > 0 else { Self.fail("makegdbm: cannot write: \(String(cString: strerror(linux_errno())))") }
            sent += count
        }
    }
}
