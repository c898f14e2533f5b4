import ArgumentParser
import GDBM
import PopmapFile

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

    static func main() {
        do {
            let command = try parse()
            let tool = PopmapTool<GDBMHandle>(name: "makegdbm", path: command.gdbmname)
            if command.undo { try tool.dump() } else { try tool.make() }
        } catch let error as PopmapFileError {
            PopmapTool<GDBMHandle>.fail("makegdbm: \(error)")
        } catch let error where exitCode(for: error) == .success {
            print(message(for: error))
        } catch {
            PopmapTool<GDBMHandle>.fail(fullMessage(for: error))
        }
    }
}
